//! Where other nodes are, and where they find this one.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use tholos_cluster::message::hello::MOST_NAME;

use super::check::require;
use super::{Config, ConfigError};

/// Where nodes listen for each other, unless it is said otherwise.
pub const PEER_PORT: u16 = 7000;

/// Other nodes of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(missing_docs)] // documented where users read it: default.toml
pub struct ClusterConfig {
    pub seeds: Vec<String>,
    pub listen: String,
    pub broadcast: String,
}

/// This node's port for other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where others are told to connect.
    pub broadcast: SocketAddr,
}

impl Config {
    /// This node's port for other nodes; `None` if it is alone.
    pub fn peer_address(&self) -> Option<PeerAddress> {
        if self.cluster.seeds.is_empty() {
            return None;
        }
        // What is written was checked when it was read.
        let default = SocketAddr::new(self.listen.address, PEER_PORT);
        let listen = self.cluster.listen.parse().unwrap_or(default);
        let broadcast = self.cluster.broadcast.parse().unwrap_or(listen);
        Some(PeerAddress { listen, broadcast })
    }

    /// What must hold of it.
    pub(super) fn check_cluster(&self) -> Result<(), ConfigError> {
        let ClusterConfig { seeds, listen, broadcast } = &self.cluster;
        for (place, seed) in seeds.iter().enumerate() {
            require(is_host_and_port(seed), "cluster.seeds", || {
                format!(
                    "must be \"host:port\" each, such as \"10.0.0.1:{PEER_PORT}\", not {seed:?}"
                )
            })?;
            require(!seeds[..place].contains(seed), "cluster.seeds", || {
                format!("has {seed:?} twice")
            })?;
        }
        for (key, address) in [("cluster.listen", listen), ("cluster.broadcast", broadcast)] {
            require(address.is_empty() || address.parse::<SocketAddr>().is_ok(), key, || {
                format!(
                    "must be an IP address and a port, such as \"10.0.0.1:{PEER_PORT}\", or empty, not {address:?}"
                )
            })?;
        }
        let Some(address) = self.peer_address() else { return Ok(()) };
        require(!listen.is_empty() || is_private(self.listen.address), "cluster.listen", || {
            format!(
                "must be said where listen.address is {}: other nodes are not asked who they are, so name an address \
                 that only they can reach",
                self.listen.address
            )
        })?;
        require(!address.broadcast.ip().is_unspecified(), "cluster.broadcast", || {
            format!("must be said where cluster.listen is {}: other nodes need one address", listen)
        })?;
        require(
            address.broadcast.port() != 0 || broadcast.is_empty(),
            "cluster.broadcast",
            || "must have a port other than 0".to_string(),
        )?;
        require(self.cluster_name.len() <= MOST_NAME, "cluster_name", || {
            format!("must have at most {MOST_NAME} bytes, not {}", self.cluster_name.len())
        })?;
        self.check_peer_port(address.listen)
    }

    /// Each port of this node needs a number of its own.
    fn check_peer_port(&self, peers: SocketAddr) -> Result<(), ConfigError> {
        let collides = |other: SocketAddr| {
            let unspecified = peers.ip().is_unspecified() || other.ip().is_unspecified();
            (peers.ip() == other.ip() || unspecified)
                && peers.port() == other.port()
                && peers.port() != 0
        };
        let others = [("listen", true, self.listen_address()), {
            ("admin", self.admin.enabled, self.admin_address())
        }];
        others.into_iter().filter(|(_, enabled, _)| *enabled).try_for_each(|(what, _, other)| {
            require(!collides(other), "cluster.listen", || {
                format!("is {peers}, as {what}.port is: each needs a port of its own")
            })
        })
    }
}

/// Loopback, or an address that is not routed on the Internet.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn is_host_and_port(text: &str) -> bool {
    let is_host = |host: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        !host.is_empty() && host.chars().all(is_part)
    };
    match text.parse::<SocketAddr>() {
        Ok(address) => address.port() != 0 && !address.ip().is_unspecified(),
        Err(_) => text.rsplit_once(':').is_some_and(|(host, port)| {
            is_host(host) && port.parse::<u16>().is_ok_and(|port| port != 0)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Config, String> {
        Config::parse(text, "t.toml").map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_without_seeds_has_no_port_for_others() {
        assert_eq!(Config::default().peer_address(), None);
        let alone = config("[cluster]\nlisten = \"127.0.0.1:7001\"").unwrap();
        assert_eq!(alone.peer_address(), None);
        assert!(config("[listen]\naddress = \"0.0.0.0\"").is_ok(), "one node is as it was");
    }

    #[test]
    fn the_port_for_others_is_on_a_private_address_unless_it_is_named() {
        let of = |text| config(text).unwrap().peer_address().unwrap();
        let seeds = "[cluster]\nseeds = [\"127.0.0.1:7000\"]";
        let address = of(seeds);
        assert_eq!(address.listen.to_string(), "127.0.0.1:7000");
        assert_eq!(address.broadcast, address.listen);
        let address = of(
            "[cluster]\nseeds = [\"n1.example:7000\"]\nlisten = \"0.0.0.0:7\"\nbroadcast = \"8.8.8.8:9\"",
        );
        assert_eq!(address.listen.to_string(), "0.0.0.0:7");
        assert_eq!(address.broadcast.to_string(), "8.8.8.8:9");
        for public in ["0.0.0.0", "8.8.8.8", "::", "2a00::1"] {
            let text = format!("[listen]\naddress = \"{public}\"\n{seeds}");
            let told = config(&text).unwrap_err();
            assert!(told.contains("cluster.listen: must be said"), "{public}: {told}");
        }
        for private in ["10.1.2.3", "192.168.0.1", "::1", "fd00::1"] {
            assert!(config(&format!("[listen]\naddress = \"{private}\"\n{seeds}")).is_ok());
        }
    }

    #[test]
    fn values_are_checked_in_words() {
        for (text, told) in [
            ("seeds = [\"127.0.0.1\"]", "must be \"host:port\" each"),
            ("seeds = [\"a:7000\", \"b:0\"]", "not \"b:0\""),
            ("seeds = [\"a b:7000\"]", "not \"a b:7000\""),
            ("seeds = [\":7000\"]", "not \":7000\""),
            ("seeds = [\"0.0.0.0:7000\"]", "not \"0.0.0.0:7000\""),
            ("seeds = [\"a:1\", \"a:1\"]", "has \"a:1\" twice"),
            ("seeds = 7", "expected"),
            ("listen = \"localhost\"", "cluster.listen: must be an IP address and a port"),
            ("broadcast = \"127.0.0.1\"", "cluster.broadcast: must be an IP address and a port"),
            ("seeds = [\"a:1\"]\nlisten = \"0.0.0.0:7000\"", "cluster.broadcast: must be said"),
            ("seeds = [\"a:1\"]\nbroadcast = \"1.2.3.4:0\"", "a port other than 0"),
            ("seeds = [\"a:1\"]\nlisten = \"127.0.0.1:9042\"", "as listen.port is"),
            ("seeds = [\"a:1\"]\nlisten = \"127.0.0.1:9180\"", "as admin.port is"),
            ("seed = [\"a:1\"]", "did you mean cluster.seeds?"),
        ] {
            let problem = config(&format!("[cluster]\n{text}")).unwrap_err();
            assert!(problem.contains(told), "{text}: {problem}");
        }
        let long = "x".repeat(MOST_NAME + 1);
        let text = format!("cluster_name = \"{long}\"\n[cluster]\nseeds = [\"a:1\"]");
        assert!(config(&text).unwrap_err().contains("cluster_name: must have at most"));
        for seed in ["n1:7000", "n-1.example.org:1", "[::1]:7000", "10.0.0.1:65535"] {
            assert!(config(&format!("[cluster]\nseeds = [\"{seed}\"]")).is_ok(), "{seed}");
        }
    }
}
