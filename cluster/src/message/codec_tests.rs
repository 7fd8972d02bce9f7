use proptest::collection::vec;
use proptest::prelude::*;
use smallvec::SmallVec;
use tholos_storage::model::Deletion;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::Update;
use tholos_storage::model::position::{AFTER, BEFORE, COMPONENT, ROW};
use tholos_storage::model::read::{AnswerKind, KeyInterval, ReadLimits};
use tholos_storage::model::row::RowBuilder;
use tholos_storage::schema::TableId;
use uuid::Uuid;

use super::*;

fn updates() -> impl Strategy<Value = Update> {
    let deletion = any::<(i64, i64)>().prop_map(|(timestamp, deleted_at)| Deletion {
        timestamp: timestamp.max(i64::MIN + 1),
        deleted_at,
    });
    (0..3, vec(1..9_u8, 1..20), deletion).prop_map(|(kind, component, deletion)| {
        let position = |last| [&[COMPONENT], component.as_slice(), &[last]].concat();
        match kind {
            0 => Update::Partition(deletion),
            1 => {
                let mut row = RowBuilder::new();
                row.deletion(deletion);
                Update::Row { position: position(ROW).into(), row: row.finish() }
            }
            _ => Update::Range {
                start: position(BEFORE).into(),
                end: position(AFTER).into(),
                deletion,
            },
        }
    })
}

fn mutations() -> impl Strategy<Value = Mutation> {
    // Few tables, so that some follow another of the same one.
    (0..3_u128, vec(any::<u8>(), 8..40), vec(updates(), 0..4)).prop_map(
        |(table, partition, updates)| Mutation {
            table: TableId(Uuid::from_u128(table)),
            partition: partition.into(),
            updates: updates.into(),
        },
    )
}

fn commands() -> impl Strategy<Value = ReadCommand> {
    (any::<u128>(), any::<Option<u32>>(), 0..5_usize).prop_map(|(table, rows, intervals)| {
        let interval =
            KeyInterval { lower: b"12345678a".to_vec(), upper: vec![], partition_len: Some(8) };
        ReadCommand {
            table: TableId(Uuid::from_u128(table)),
            intervals: vec![interval; intervals],
            direction: Direction::Forward,
            limits: ReadLimits { rows, bytes: 1 << 20 },
            now: 1_700_000_000,
            answer: AnswerKind::Data,
        }
    })
}

/// Without entries: what is in pages, and what is refused of them, is storage's to test.
fn page(bound: u8) -> Arc<Page> {
    let upper = [255, 0, 0, 0, 0, 0, 0, bound];
    let bytes = [&[2, 0, 8][..], &upper, &[9], &[0; 9]].concat();
    Arc::new(Page::decode(&mut bytes.as_slice()).unwrap())
}

fn messages() -> impl Strategy<Value = Message> {
    let request = prop_oneof![
        vec(mutations(), 0..5).prop_map(|mutations| Request::Write(mutations.into())),
        commands().prop_map(|command| Request::Read(Arc::new(command))),
    ];
    let response = prop_oneof![
        Just(Response::Written),
        vec(any::<u8>(), 0..4).prop_map(|bounds| {
            Response::Answer(Answer::Pages(bounds.into_iter().map(page).collect()))
        }),
        any::<[u8; 16]>().prop_map(|digest| Response::Answer(Answer::Digest(Digest(digest)))),
        proptest::sample::select(ALL_REFUSALS.to_vec()).prop_map(Response::Refused),
    ];
    let id = any::<(u64, u32)>().prop_map(|(operation, part)| RequestId { operation, part });
    prop_oneof![
        (id.clone(), any::<u32>(), request).prop_map(|(id, time_left, request)| Message::Request {
            id,
            time_left,
            request
        }),
        (id, response).prop_map(|(id, response)| Message::Response { id, response }),
        (any::<u8>(), vec(any::<u8>(), 0..50))
            .prop_map(|(kind, bytes)| Message::Peer { kind, bytes: bytes.into() }),
    ]
}

fn bytes_of(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(message, &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn messages_come_back_and_cut_off_ones_do_not(message in messages(), cut: prop::sample::Index) {
        let bytes = bytes_of(&message);
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(format!("{decoded:?}"), format!("{message:?}"));
        prop_assert_eq!(bytes_of(&decoded), bytes.clone());
        if !matches!(message, Message::Peer { .. }) {
            prop_assert!(decode(&bytes[..cut.index(bytes.len())]).is_err());
            prop_assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        }
    }

    #[test]
    fn any_bytes_are_a_message_or_refused(kind in 0..5_u8, bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode(&[&[kind], bytes.as_slice()].concat());
    }

    #[test]
    fn a_changed_byte_is_a_message_or_refused(
        message in messages(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let mut bytes = bytes_of(&message);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Message::Request { request: Request::Write(mutations), .. }) = decode(&bytes) {
            prop_assert!(mutations.iter().all(|mutation| mutation.validate().is_ok()));
        }
    }
}

#[test]
fn what_is_announced_and_not_there_takes_no_memory() {
    // 65,536 mutations, pages: refused at the first that is missing. One more: refused for that.
    let request = [&[REQUEST, 0, 0, 0, WRITE][..], &[0x80, 0x80, 4]].concat();
    assert_eq!(decode(&request).unwrap_err(), ENDS_EARLY);
    let request = [&[REQUEST, 0, 0, 0, WRITE][..], &[0x81, 0x80, 4]].concat();
    assert_eq!(decode(&request).unwrap_err(), MessageError::Malformed("it has too many mutations"));
    let response = [&[RESPONSE, 0, 0, PAGES][..], &[0x81, 0x80, 4]].concat();
    assert_eq!(decode(&response).unwrap_err(), MessageError::Malformed("it has too many pages"));
}

#[test]
fn a_row_that_is_none_is_refused_before_it_is_a_message() {
    let update = Update::Row {
        position: SmallVec::from_slice(&[ROW]),
        row: tholos_storage::model::entry::RowBuf { head: SmallVec::new(), body: vec![1, 2, 3] },
    };
    let mutation = Mutation {
        table: TableId(Uuid::nil()),
        partition: SmallVec::from_slice(b"12345678"),
        updates: SmallVec::from_iter([update]),
    };
    let id = RequestId { operation: 1, part: 0 };
    let request = Request::Write([mutation].into());
    let bytes = bytes_of(&Message::Request { id, time_left: 1, request });
    let error = decode(&bytes).unwrap_err();
    assert!(matches!(error, MessageError::Mutation(_)), "{error}");
}

/// What fuzzing starts from is what it says it is: else it would begin with what is refused at once.
#[test]
fn the_seeds_of_fuzzing_are_messages() {
    for seed in ["write", "read", "pages"] {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/peer");
        let bytes = std::fs::read(format!("{root}/seed-{seed}")).unwrap();
        decode(&bytes[1..]).unwrap_or_else(|error| panic!("{seed}: {error}"));
    }
}
