//! What is foretold about a token, beside what it does.

use proptest::prelude::*;

use super::fair::WHOLE;
use super::free::Free;
use super::joining::Joining;
use super::model::{Place, units, width};
use crate::ring::Weight;

/// Some nodes of a data centre, the last of them new, and tokens of the others; widths are whole units.
fn joinings() -> impl Strategy<Value = Joining> {
    let racks = prop::collection::vec(0..4usize, 2..7);
    let tokens = prop::collection::btree_map(1u64..1 << 32, 0usize..60, 2..20);
    (racks, tokens, 1u32..5).prop_map(|(racks, tokens, factor)| {
        let old = racks.len() - 1;
        let members = racks.into_iter().map(|rack| (rack, Weight::ONE)).collect();
        let owned = tokens.into_iter().map(|(place, node)| (place << 32, node % old));
        Joining { members, factor, tokens: owned.collect(), free: Free::default() }
    })
}

fn insert(tokens: &mut Vec<(u64, Place)>, place: usize, x: u64, new: Place) -> usize {
    let before = tokens[place].0.wrapping_sub(width(tokens, place));
    let position = before.wrapping_add(x << 32);
    let at = tokens.partition_point(|(other, _)| *other < position);
    tokens.insert(at, (position, new));
    at
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_token_changes_what_was_foretold(
        joining in joinings(), place: prop::sample::Index, x: prop::sample::Index,
    ) {
        let mut tokens = joining.tokens.clone();
        let place = place.index(tokens.len());
        let most = units(width(&tokens, place));
        prop_assume!(most > 1);
        let x = 1 + x.index(most as usize - 1) as u64;
        let before = joining.models();
        let at = insert(&mut tokens, place, x, joining.members.len() - 1);
        for mut model in before {
            let shares = vec![1 << 30; joining.members.len()];
            model.want(&shares);
            let foretold = model.balance(place).at(x as i64);
            let old = model.imbalance();
            model.insert(&tokens, at);
            prop_assert_eq!(model.imbalance() - old, foretold);
        }
    }

    #[test]
    fn going_on_is_as_good_as_beginning_anew(
        mut joining in joinings(),
        places in prop::collection::vec((any::<prop::sample::Index>(), 1u64..1 << 20), 1..12),
    ) {
        let new = joining.members.len() - 1;
        let mut models = joining.models();
        for (place, x) in places {
            let place = place.index(joining.tokens.len());
            prop_assume!(units(width(&joining.tokens, place)) > x as i64);
            let at = insert(&mut joining.tokens, place, x, new);
            for (model, fresh) in models.iter_mut().zip(joining.models()) {
                model.insert(&joining.tokens, at);
                prop_assert_eq!(&*model, &fresh);
            }
        }
    }
}

#[test]
fn the_only_node_of_a_rack_gets_everything_with_its_first_token() {
    let members = [2, 2, 5].map(|rack| (rack, Weight::ONE)).to_vec();
    let tokens = vec![(1 << 40, 0), (1 << 50, 1)];
    let joining = Joining { members, factor: 2, tokens, free: Free::default() };
    let [all, in_rack] = joining.models();
    for (place, x) in [(0, 5), (1, 0), (1, 5)] {
        assert_eq!(all.gain(place, x), WHOLE as i64, "one of two racks must have one");
        assert_eq!(in_rack.gain(place, x), WHOLE as i64);
    }
}
