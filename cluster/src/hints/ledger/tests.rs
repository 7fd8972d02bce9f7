use proptest::prelude::*;

use super::*;
use crate::hints::record::MAX_COUNT;

fn marks() -> impl Strategy<Value = Marks> {
    prop::collection::vec((any::<i64>(), any::<i64>()), 0..4).prop_map(|tokens| {
        let mut marks = Marks::default();
        tokens.into_iter().for_each(|(token, at)| marks.add_token(token, at >> 3, 3));
        marks
    })
}

fn op() -> impl Strategy<Value = Op> {
    let count = || 0..=MAX_COUNT;
    let cursor = (count(), count(), count(), count());
    let summary = ((count(), count(), any::<i64>(), any::<i64>()), marks());
    prop_oneof![
        count().prop_map(Op::Open),
        (count(), summary).prop_map(|(segment, ((end, hints, oldest, newest), tokens))| {
            Op::Seal(segment, Summary { end, hints, oldest, newest, tokens })
        }),
        cursor.prop_map(|(segment, offset, inside, hints)| {
            Op::Cursor(Cursor { segment, offset, inside, hints })
        }),
        count().prop_map(Op::Done),
        marks().prop_map(Op::Dirty),
        Just(Op::Gone),
    ]
}

proptest! {
    #[test]
    fn operations_come_back_and_cut_off_ones_do_not(
        target: u128, op in op(), cut: prop::sample::Index,
    ) {
        let mut bytes = Vec::new();
        encode_op(&mut bytes, Uuid::from_u128(target), &op);
        let decoded = decode_op(&mut bytes.as_slice());
        prop_assert_eq!(decoded, Some((Uuid::from_u128(target), op)));
        prop_assert_eq!(decode_op(&mut &bytes[..cut.index(bytes.len())]), None);
    }

    #[test]
    fn any_bytes_are_operations_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        apply_record(&mut BTreeMap::new(), &bytes);
    }

    #[test]
    fn a_checkpoint_says_the_same(ops in prop::collection::vec((0..3_u128, op()), 0..20)) {
        let mut targets = BTreeMap::new();
        for (target, op) in ops {
            apply(&mut targets, Uuid::from_u128(target), op);
        }
        let mut again = BTreeMap::new();
        prop_assert_eq!(apply_record(&mut again, &checkpoint(&targets)), Some(()));
        prop_assert_eq!(again, targets);
    }
}
