use super::*;
use crate::testing::node as node_in;

fn node(port: u16, tokens: &[i64]) -> Node {
    let tokens = tokens.iter().copied().map(Token).collect();
    Node { tokens, ..node_in(port, "dc1", 0) }
}

#[test]
fn a_token_belongs_to_the_next_ring_token_and_wraps() {
    let ring = Ring::new(vec![node(1, &[-100, 50]), node(2, &[0])]).unwrap();
    let owner = |token| ring.walk(ring.range_of(Token(token))).next().unwrap();
    assert_eq!(owner(i64::MIN), 0);
    assert_eq!(owner(-100), 0);
    assert_eq!(owner(-99), 1);
    assert_eq!(owner(0), 1);
    assert_eq!(owner(1), 0);
    assert_eq!(owner(50), 0);
    assert_eq!(owner(51), 0, "past the last token, the first owns");
    assert_eq!(ring.walk(1).collect::<Vec<_>>(), [1, 0, 0]);
}

#[test]
fn shared_and_missing_tokens_are_refused() {
    assert!(matches!(
        Ring::new(vec![node(1, &[5]), node(2, &[5])]),
        Err(RingError::SharedToken { token: Token(5), .. })
    ));
    assert!(matches!(Ring::new(vec![node(1, &[])]), Err(RingError::NoTokens(_))));
}

#[test]
fn ranges_end_at_their_token_and_wrap() {
    let ring = Ring::new(vec![node(1, &[-100, 50]), node(2, &[0])]).unwrap();
    assert_eq!((ring.width(1), ring.width(2)), (100, 50));
    assert_eq!(ring.width(0), u64::MAX - 149, "all but the two others, of 2^64");
    let extremes = Ring::new(vec![node(1, &[i64::MAX]), node(2, &[i64::MIN])]).unwrap();
    assert_eq!((extremes.width(0), extremes.width(1)), (1, u64::MAX));
}

#[test]
fn ownership_is_the_share_of_the_ranges_and_adds_up_to_one() {
    let quarter = 1i64 << 62;
    let ring =
        Ring::new(vec![node(1, &[0, quarter]), node(2, &[-quarter]), node(3, &[2])]).unwrap();
    let owned = ring.ownership();
    for (share, expected) in owned.iter().zip([0.5, 0.5, 0.0]) {
        assert!((share - expected).abs() < 1e-9, "{owned:?}");
    }
    assert_eq!(Ring::new(vec![node(1, &[7])]).unwrap().ownership(), [1.0]);
    assert_eq!(Ring::new(Vec::new()).unwrap().ownership(), [0.0; 0]);
}

#[test]
fn racks_of_one_name_in_two_data_centres_are_two_racks() {
    let place = |number: u16, data_center: &str, rack: &str| Node {
        rack: rack.to_string(),
        ..node_in(number, data_center, i64::from(number))
    };
    let nodes =
        vec![place(1, "b", "r1"), place(2, "a", "r1"), place(3, "b", "r2"), place(4, "b", "r1")];
    let ring = Ring::new(nodes).unwrap();
    let center = |name: &str, nodes, racks| DataCenter { name: name.to_string(), nodes, racks };
    assert_eq!(ring.data_centers(), [center("a", 1, 1), center("b", 3, 2)]);
    assert_eq!(ring.location(0), ring.location(3));
    assert_eq!(ring.location(0).data_center, ring.location(2).data_center);
    assert_ne!(ring.location(0).rack, ring.location(1).rack);
    assert_ne!(ring.location(0).rack, ring.location(2).rack);
}

#[test]
fn a_weight_is_from_one_to_its_maximum() {
    assert_eq!(Weight::new(0), Err(WeightError(0)));
    assert_eq!(Weight::new(Weight::MAX + 1), Err(WeightError(65)));
    assert_eq!(Weight::new(2).map(Weight::tokens), Ok(32));
    let message = WeightError(0).to_string();
    assert_eq!(message, "weight 0 is not a whole number from 1 to 64: give the smallest node 1");
}
