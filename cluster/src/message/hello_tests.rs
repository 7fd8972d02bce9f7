use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn node(host: u128) -> PeerIdentity {
    PeerIdentity {
        versions: Versions { least: 1, greatest: 1 },
        cluster_name: "zoo".to_string(),
        cluster_id: Some(Uuid::from_u128(77)),
        host_id: Uuid::from_u128(host),
        generation: 5,
        address: SocketAddr::from(([127, 0, 0, host as u8], 7000)),
    }
}

fn nodes() -> impl Strategy<Value = PeerIdentity> {
    let address = prop_oneof![
        any::<([u8; 4], u16)>().prop_map(SocketAddr::from),
        any::<([u16; 8], u16)>().prop_map(SocketAddr::from)
    ];
    (any::<(u16, u16, u64, u128)>(), ".{0,60}", any::<Option<u128>>(), address).prop_map(
        |((least, greatest, generation, host), cluster_name, cluster_id, address)| PeerIdentity {
            versions: Versions { least, greatest },
            cluster_name,
            cluster_id: cluster_id.map(Uuid::from_u128),
            host_id: Uuid::from_u128(host),
            generation,
            address,
        },
    )
}

fn greetings() -> impl Strategy<Value = Greeting> {
    let classes = proptest::sample::select(Class::ALL.to_vec());
    prop_oneof![
        (classes, nodes()).prop_map(|(class, node)| Greeting::Hello { class, node }),
        (any::<u16>(), nodes()).prop_map(|(version, node)| Greeting::Welcome { version, node }),
        (0..9_u8, ".{0,100}").prop_map(|(code, sentence)| Greeting::Refused {
            host_id: Uuid::from_u128(u128::from(code)),
            refused: Refused { reason: reason_of(code), sentence },
        }),
    ]
}

proptest! {
    #[test]
    fn greetings_come_back_and_those_of_later_versions_too(
        greeting in greetings(),
        more in vec(any::<u8>(), 0..20),
        behind in vec(any::<u8>(), 0..20),
        cut: prop::sample::Index,
    ) {
        let bytes = greeting.encode();
        let stream = [&bytes[..], &behind].concat();
        prop_assert_eq!(Greeting::decode(&stream), Ok(Some((greeting.clone(), bytes.len()))));
        prop_assert_eq!(Greeting::decode(&bytes[..cut.index(bytes.len())]), Ok(None));
        // What a later version appends is not read.
        let mut later = [&bytes[..], &more].concat();
        let body = (later.len() - HEADER) as u32;
        later[8..12].copy_from_slice(&body.to_le_bytes());
        let sum = checksum(&later[..12], &later[HEADER..]);
        later[12..HEADER].copy_from_slice(&sum.to_le_bytes());
        prop_assert_eq!(Greeting::decode(&later), Ok(Some((greeting, later.len()))));
    }

    #[test]
    fn any_bytes_are_a_greeting_or_refused(bytes in vec(any::<u8>(), 0..100), sum_is_right: bool) {
        let _ = Greeting::decode(&bytes);
        let mut stream = [&MAGIC[..], &(bytes.len() as u32).to_le_bytes(), &[0; 4], &bytes].concat();
        if sum_is_right {
            let sum = checksum(&stream[..12], &bytes);
            stream[12..HEADER].copy_from_slice(&sum.to_le_bytes());
        }
        let _ = Greeting::decode(&stream);
    }

    #[test]
    fn a_flipped_bit_is_refused(greeting in greetings(), at: prop::sample::Index, bit in 0..8_u32) {
        let mut bytes = greeting.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // A length that became longer asks for more bytes, which never come.
        prop_assert!(!matches!(Greeting::decode(&bytes), Ok(Some(_))));
    }

    #[test]
    fn both_sides_come_to_the_same_with_the_same_words(one in nodes(), two in nodes(), same: [bool; 3]) {
        let mut two = two;
        if same[0] { two.cluster_name = one.cluster_name.clone(); }
        if same[1] { two.cluster_id = one.cluster_id; }
        if same[2] { two.host_id = one.host_id; }
        prop_assert_eq!(agree(&one, &two), agree(&two, &one));
    }
}

#[test]
fn another_clusters_node_is_refused_with_a_sentence_that_names_both() {
    let own = node(1);
    let refused = |change: fn(&mut PeerIdentity)| {
        let mut other = node(2);
        change(&mut other);
        agree(&own, &other)
    };
    let told = |refused: Result<u16, Refused>, reason: RefusedReason, words: &[&str]| {
        let refused = refused.unwrap_err();
        assert_eq!(refused.reason, reason, "{refused}");
        let missing = words.iter().find(|word| !refused.sentence.contains(*word));
        assert_eq!(missing, None, "{refused}");
    };
    assert_eq!(refused(|_| ()), Ok(1));
    assert_eq!(refused(|other| other.cluster_id = None), Ok(1), "it is about to join");
    told(
        refused(|other| other.cluster_name = "lab".to_string()),
        RefusedReason::ClusterName,
        &["127.0.0.1:7000", "127.0.0.2:7000", "\"zoo\"", "\"lab\"", "cluster_name"],
    );
    told(
        refused(|other| other.cluster_id = Some(Uuid::from_u128(78))),
        RefusedReason::ClusterId,
        &["127.0.0.1:7000", "127.0.0.2:7000", "00004d", "00004e", "cluster.seeds"],
    );
    told(
        refused(|other| other.versions = Versions { least: 2, greatest: 3 }),
        RefusedReason::Version,
        &["versions 1 to 1", "versions 2 to 3", "upgrade"],
    );
    told(
        refused(|other| other.host_id = Uuid::from_u128(1)),
        RefusedReason::Other,
        &["copy", "127.0.0.1:7000", "127.0.0.2:7000"],
    );
    told(agree(&own, &own), RefusedReason::Myself, &["this node itself"]);
}

#[test]
fn other_protocols_are_told_at_their_first_bytes() {
    for bytes in [&b"GET / HTTP/1.1"[..], b"\x04\x00\x00\x00\x05", b"T\x00", b"\x16\x03\x01"] {
        assert_eq!(Greeting::decode(bytes), Err(HelloError::Magic));
    }
    assert_eq!(Greeting::decode(b"THOL"), Ok(None));
    let long = [&MAGIC[..], &u32::MAX.to_le_bytes(), &[0; 4]].concat();
    assert_eq!(Greeting::decode(&long), Err(HelloError::TooLong(u32::MAX as usize)));
}

#[test]
fn texts_that_are_too_long_are_cut_between_characters() {
    let refused = |sentence| Greeting::Refused {
        host_id: Uuid::nil(),
        refused: Refused { reason: RefusedReason::Busy, sentence },
    };
    let bytes = refused("ö".repeat(MOST_BODY)).encode();
    let cut = refused("ö".repeat(MOST_SENTENCE / 2));
    assert_eq!(Greeting::decode(&bytes), Ok(Some((cut, bytes.len()))));
}
