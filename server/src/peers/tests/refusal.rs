//! Nodes that do not belong together are refused, with the same words on both sides; those of two releases are not.

use tholos_cluster::message::codec::MessageError;

use super::*;

/// A node with the changes is refused by another one. Returns what both say.
async fn refused(change: impl FnOnce(&mut PeerOptions)) -> String {
    let one = Peer::start(1);
    let two = Peer::start_with(2, free_port(), change);
    two.connect(&one);
    let trouble = || two.peers.troubles().into_iter().find_map(|(_, trouble)| trouble);
    eventually("both know", || trouble().is_some() && one.peers.last_refusal().is_some()).await;
    let told = trouble().unwrap();
    assert_eq!(one.peers.last_refusal().unwrap(), told);
    assert!(one.heard().is_empty() && two.heard().is_empty());
    assert!(get(&one.peers.accepted().refused) > 0);
    assert_eq!(two.send(&one, Class::Normal, b"x"), Err(NotSent::NotConnected(one.id)));
    for peer in [&one, &two] {
        assert!(told.contains(&peer.address.to_string()), "{told}");
    }
    told
}

#[tokio::test]
async fn a_node_of_another_cluster_is_refused_on_both_sides() {
    let told = refused(|options| options.identity.cluster_name = "lab".to_string()).await;
    assert!(told.contains("\"zoo\"") && told.contains("\"lab\""), "{told}");
    let told = refused(|options| options.identity.cluster_id = Some(Uuid::from_u128(5))).await;
    assert!(told.contains("formed apart"), "{told}");
}

#[tokio::test]
async fn a_node_of_an_unknown_version_is_refused_on_both_sides() {
    let told = refused(|options| options.wire.versions = Versions { least: 2, greatest: 3 }).await;
    assert!(told.contains("versions 1 to 1") && told.contains("versions 2 to 3"), "{told}");
}

#[tokio::test]
async fn a_node_that_is_about_to_join_is_not_refused_and_learns_the_cluster() {
    let one = Peer::start(1);
    let two = Peer::start_with(2, free_port(), |options| options.identity.cluster_id = None);
    connected(&two, &one).await;
    // From then on it says so, and is refused by others.
    two.peers.set_cluster_id(Uuid::from_u128(5));
    two.peers.disconnect(one.id);
    let refused = || one.peers.last_refusal().unwrap_or_default();
    eventually("it is refused", || refused().contains("formed apart")).await;
}

/// What a later release might speak: each message is followed by a byte.
fn two_versions() -> Wire {
    Wire {
        versions: Versions { least: 1, greatest: 2 },
        encode: |version, message, out| {
            codec::encode(message, out);
            out.extend((version == 2).then_some(b'2'));
        },
        decode: |version, bytes| match version {
            2 => match bytes.split_last() {
                Some((b'2', bytes)) => codec::decode(bytes),
                _ => Err(MessageError::Malformed("it is not of version 2")),
            },
            _ => codec::decode(bytes),
        },
    }
}

#[tokio::test]
async fn two_versions_run_side_by_side() {
    let new = |options: &mut PeerOptions| options.wire = two_versions();
    let old = Peer::start(1);
    let new_ones = [Peer::start_with(2, free_port(), new), Peer::start_with(3, free_port(), new)];
    let [new, other] = &new_ones;
    for (one, two, version) in [(new, &old, 1), (&old, other, 1), (new, other, 2)] {
        connected(one, two).await;
        assert_eq!(one.link(two, Class::Normal).unwrap().version, Some(version));
    }
    let message = message(b"to all of you");
    let mut outgoing = Outgoing::new(9, Class::Normal, &message);
    for to in [&old, other] {
        assert_eq!(new.peers.try_send(to.id, &mut outgoing), Ok(()));
        assert_eq!(to.send(new, Class::Normal, b"thanks"), Ok(()));
    }
    for to in [&old, other] {
        let came = || to.messages(new, Class::Normal) == [&b"to all of you"[..]];
        eventually("it came", came).await;
        eventually("thanks came", || new.messages(to, Class::Normal) == [&b"thanks"[..]]).await;
    }
    // The old one is upgraded meanwhile: those that it was connected to speak the new version with it.
    let address = old.address;
    old.peers.close().await;
    let upgraded = Peer::start_with(1, TcpListener::bind(address).unwrap(), |options| {
        (options.wire, options.identity.generation) = (two_versions(), 2);
    });
    let version = || new.link(&upgraded, Class::Normal).and_then(|link| link.version);
    eventually("they speak the new version", || version() == Some(2)).await;
}
