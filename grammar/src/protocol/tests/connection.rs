//! Whole connections: what an encoder writes a decoder reads, in every framing, however the bytes are cut.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::bytes;
use crate::protocol::compression::{Compression, compress_body};
use crate::protocol::decoder::Decoder;
use crate::protocol::encoder::Encoder;
use crate::protocol::error::ProtocolError;
use crate::protocol::header::{
    Direction, Flags, HEADER_LENGTH, Header, MAX_FRAME_AFTER_AUTH, MAX_FRAME_BEFORE_AUTH, Opcode,
    Version,
};
use crate::protocol::request::Request;
use crate::protocol::segment::MAX_PAYLOAD;

/// One way of framing.
#[derive(Clone, Copy, Debug)]
struct Framing {
    version: Version,
    compression: Option<Compression>,
}

impl Framing {
    fn encoder(self) -> Encoder {
        let mut encoder = Encoder::new();
        encoder.set_compression(self.compression);
        if self.version == Version::V5 {
            encoder.switch_to_segments();
        }
        encoder
    }

    fn decoder(self) -> Decoder {
        let mut decoder = Decoder::of_requests();
        decoder.set_body_limit(MAX_FRAME_AFTER_AUTH);
        decoder.set_version(self.version);
        decoder.set_compression(self.compression);
        if self.version == Version::V5 {
            decoder.switch_to_segments();
        }
        decoder
    }
}

fn framing() -> impl Strategy<Value = Framing> {
    (select(Version::ALL.to_vec()), select(vec![None, Some(Compression::Lz4)]))
        .prop_map(|(version, compression)| Framing { version, compression })
}

/// A body: some shrink when compressed, some do not, some do not fit in a segment.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![4 => 0..2000_usize, 1 => MAX_PAYLOAD - 20..MAX_PAYLOAD + 20, 1 => 0..400_000_usize];
    (length, any::<u64>(), any::<bool>()).prop_map(|(length, seed, even)| {
        let mut state = seed | 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if even { 7 } else { (state >> 56) as u8 }
        };
        (0..length).map(|_| next()).collect()
    })
}

fn append(encoder: &mut Encoder, version: Version, stream: i16, body: &[u8]) {
    let envelope = encoder.begin(version, Opcode::Query, stream, Flags::default());
    encoder.body().extend_from_slice(body);
    encoder.finish(envelope).unwrap();
}

/// Feeds `bytes` in pieces of these lengths, over and over, and gives all envelopes' streams and bodies.
fn decode_in_pieces(
    decoder: &mut Decoder,
    bytes: &[u8],
    pieces: &[usize],
) -> Result<Vec<(i16, Vec<u8>)>, ProtocolError> {
    let (mut buffer, mut fed, mut found) = (Vec::new(), 0, Vec::new());
    for piece in pieces.iter().cycle() {
        let end = (fed + piece).min(bytes.len());
        buffer.extend_from_slice(&bytes[fed..end]);
        fed = end;
        let mut input = buffer.as_slice();
        while let Some(envelope) = decoder.next(&mut input)? {
            found.push((envelope.header.stream, envelope.body.to_vec()));
        }
        let taken = buffer.len() - input.len();
        buffer.drain(..taken);
        if fed == bytes.len() {
            assert!(buffer.is_empty(), "{} bytes were left", buffer.len());
            return Ok(found);
        }
    }
    unreachable!("pieces are never empty")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_written_is_read(
        framing in framing(),
        bodies in vec((any::<i16>(), body()), 0..5),
        pieces in vec(1..50_000_usize, 1..4),
    ) {
        let mut encoder = framing.encoder();
        for (stream, body) in &bodies {
            append(&mut encoder, framing.version, *stream, body);
        }
        let found = decode_in_pieces(&mut framing.decoder(), encoder.finished(), &pieces).unwrap();
        prop_assert_eq!(found, bodies);
    }

    #[test]
    fn byte_by_byte(framing in framing(), bodies in vec((any::<i16>(), vec(any::<u8>(), 0..40)), 0..5)) {
        let mut encoder = framing.encoder();
        for (stream, body) in &bodies {
            append(&mut encoder, framing.version, *stream, body);
        }
        let found = decode_in_pieces(&mut framing.decoder(), encoder.finished(), &[1]).unwrap();
        prop_assert_eq!(found, bodies);
    }

    /// In v5 a flipped bit is always found: by a checksum, or by bytes that never come.
    #[test]
    fn flipped_bits_are_found(
        compression in select(vec![None, Some(Compression::Lz4)]),
        body in vec(0..3_u8, 0..200),
        at in any::<prop::sample::Index>(),
    ) {
        let framing = Framing { version: Version::V5, compression };
        let mut encoder = framing.encoder();
        append(&mut encoder, Version::V5, 1, &body);
        let mut bytes = encoder.finished().to_vec();
        let bit = at.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = framing.decoder().next(&mut bytes.as_slice()).unwrap_err();
        let is_checksum = matches!(
            error,
            ProtocolError::SegmentHeaderChecksum { .. } | ProtocolError::SegmentPayloadChecksum { .. }
        );
        prop_assert!(is_checksum, "{error:?}");
        prop_assert!(error.is_fatal());
    }

    #[test]
    fn any_bytes_are_survived(
        framing in framing(),
        input in vec(prop_oneof![3 => select(vec![4_u8, 5, 0, 1, 7, 0x84]), 1 => any::<u8>()], 0..80),
    ) {
        let mut decoder = framing.decoder();
        let mut input = input.as_slice();
        while let Ok(Some(envelope)) = decoder.next(&mut input) {
            let _ = envelope.request();
        }
    }
}

#[test]
fn small_envelopes_share_a_segment_without_a_copy() {
    let framing = Framing { version: Version::V5, compression: None };
    let mut encoder = framing.encoder();
    for stream in 0..100 {
        append(&mut encoder, Version::V5, stream, &[1, 2, 3]);
    }
    let bytes = encoder.finished().to_vec();
    assert_eq!(bytes.len(), 6 + 100 * (HEADER_LENGTH + 3) + 4);
    let mut decoder = framing.decoder();
    let mut input = bytes.as_slice();
    for stream in 0..100 {
        let body = decoder.next(&mut input).unwrap().unwrap().body;
        let place = 6 + stream * (HEADER_LENGTH + 3) + HEADER_LENGTH;
        assert!(std::ptr::eq(body, &bytes[place..place + 3]), "the body is where it came");
    }
    assert!(input.is_empty());
}

/// Bytes from the Python driver's own encoder (3.30).
#[test]
fn segments_of_another_encoder() {
    let plain = Framing { version: Version::V5, compression: None };
    let lz4 = Framing { version: Version::V5, compression: Some(Compression::Lz4) };
    let options = bytes("090002a4c8c1 050000050500000000 a317e51d");
    let stored = bytes("0900000004c2b895 050000050500000000 a317e51d");
    let query =
        bytes("1900a600040e69f2 ef05000005070000004a000000406101002c60000100000000 820167fd");
    for (framing, bytes) in [(plain, &options), (lz4, &stored)] {
        let found = decode_in_pieces(&mut framing.decoder(), bytes, &[bytes.len()]).unwrap();
        assert_eq!(found, [(5, Vec::new())]);
        let mut encoder = framing.encoder();
        encoder.request(Version::V5, 5, false, &[], &Request::Options).unwrap();
        assert_eq!(encoder.finished(), bytes);
    }
    let mut decoder = lz4.decoder();
    let mut input = query.as_slice();
    let message = decoder.next(&mut input).unwrap().unwrap().request().unwrap();
    let Request::Query(query) = message.request else { panic!("{message:?}") };
    assert_eq!(query.text, "a".repeat(64));
}

/// Bytes from the Python driver's own encoder (3.30).
#[test]
fn a_compressed_envelope_of_another_encoder() {
    let framing = Framing { version: Version::V4, compression: Some(Compression::Lz4) };
    let bytes = bytes("0401000507 00000013 000000475f000000406101002a506161000100");
    let mut decoder = framing.decoder();
    let mut input = bytes.as_slice();
    let message = decoder.next(&mut input).unwrap().unwrap().request().unwrap();
    let Request::Query(query) = message.request else { panic!("{message:?}") };
    assert_eq!(query.text, "a".repeat(64));
}

#[test]
fn announced_lengths_are_refused_before_memory_is_set_aside() {
    let announce = |length: i32| {
        let mut bytes = bytes("0400000507");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes
    };
    let mut decoder = Decoder::of_requests();
    let too_long = |limit, announced| ProtocolError::BodyTooLong {
        announced,
        limit,
        version: Version::V4,
        stream: 5,
    };
    assert_eq!(decoder.next(&mut announce(65_536).as_slice()), Ok(None));
    assert_eq!(decoder.wanted(), 65_545);
    assert_eq!(
        decoder.next(&mut announce(65_537).as_slice()),
        Err(too_long(MAX_FRAME_BEFORE_AUTH, 65_537))
    );
    decoder.set_body_limit(MAX_FRAME_AFTER_AUTH);
    assert_eq!(decoder.next(&mut announce(65_537).as_slice()), Ok(None));
    assert_eq!(
        decoder.next(&mut announce(i32::MAX).as_slice()),
        Err(too_long(MAX_FRAME_AFTER_AUTH, 0x7FFF_FFFF))
    );
    let negative =
        ProtocolError::NegativeBodyLength { length: -1, version: Version::V4, stream: 5 };
    assert_eq!(decoder.next(&mut announce(-1).as_slice()), Err(negative));
}

#[test]
fn false_lengths_of_compressed_bodies_are_refused() {
    let framing = Framing { version: Version::V4, compression: Some(Compression::Lz4) };
    let mut block = Vec::new();
    compress_body(&[9; 1000], &mut block);
    let with_length = |announced: u32, limit: usize| {
        let mut body = block.clone();
        body[..4].copy_from_slice(&announced.to_be_bytes());
        let flags = Flags::COMPRESSION;
        let (direction, opcode) = (Direction::Request, Opcode::Query);
        let mut bytes = Vec::new();
        Header { version: Version::V4, direction, flags, stream: 1, opcode, length: body.len() }
            .encode(&mut bytes);
        bytes.extend_from_slice(&body);
        let mut decoder = framing.decoder();
        decoder.set_body_limit(limit);
        decoder.next(&mut bytes.as_slice()).map(|envelope| envelope.unwrap().body.to_vec())
    };
    assert_eq!(with_length(1000, 1000), Ok(vec![9; 1000]));
    for announced in [0, 1, 999, 1001, 2000] {
        let error = with_length(announced, 10_000).unwrap_err();
        assert!(matches!(error, ProtocolError::Compression { .. }), "{announced}: {error:?}");
    }
    // More than a block of this length can hold, within the limit and beyond.
    let error = with_length(200_000_000, MAX_FRAME_AFTER_AUTH).unwrap_err();
    let reason = "no block of this length holds that much";
    let compressed = block.len() - 4;
    assert_eq!(error, ProtocolError::Compression { compressed, announced: 200_000_000, reason });
    let error = with_length(1000, 999).unwrap_err();
    assert!(
        matches!(error, ProtocolError::BodyTooLong { announced: 1000, limit: 999, .. }),
        "{error:?}"
    );
}

#[test]
fn unsupported_versions_say_what_to_answer() {
    let refused = |hex: &str| Decoder::of_requests().next(&mut bytes(hex).as_slice()).map(|_| ());
    let unsupported = |version, stream| Err(ProtocolError::UnsupportedVersion { version, stream });
    assert_eq!(refused("42000007"), unsupported(66, 7));
    assert_eq!(refused("0300ffff05"), unsupported(3, -1));
    assert_eq!(refused("020009"), unsupported(2, 9));
    assert_eq!(refused("4200"), Ok(()), "the stream has not come yet");
    let error = refused("42000007").unwrap_err();
    assert_eq!(error.stream(), 7);
    assert_eq!(error.answer_version(), Version::V4);
    assert_eq!(
        error.to_string(),
        "Invalid or unsupported protocol version (66); supported versions are (4/v4, 5/v5)"
    );
}

#[test]
fn what_does_not_belong_is_refused() {
    let refused =
        |decoder: &mut Decoder, hex: &str| decoder.next(&mut bytes(hex).as_slice()).unwrap_err();
    let mut decoder = Decoder::of_requests();
    let error = refused(&mut decoder, "840000050500000000");
    assert!(matches!(error, ProtocolError::WrongDirection { byte: 0x84, .. }), "{error:?}");
    let error = refused(&mut decoder, "040000050400000000");
    assert!(
        matches!(error, ProtocolError::UnknownOpcode { opcode: 4, stream: 5, .. }),
        "{error:?}"
    );
    let error = refused(&mut decoder, "040000050800000000");
    assert!(
        matches!(error, ProtocolError::WrongOpcode { opcode: Opcode::Result, stream: 5, .. }),
        "{error:?}"
    );
    let error = refused(&mut decoder, "04010005070000000100");
    assert!(matches!(error, ProtocolError::CompressionNotAgreed { stream: 5, .. }), "{error:?}");
    decoder.set_version(Version::V5);
    let error = refused(&mut decoder, "040000050500000000");
    assert!(matches!(error, ProtocolError::VersionChanged { found: Version::V4, .. }), "{error:?}");
}

/// Envelopes that just fit in a segment or just do not, alone and after another.
#[test]
fn the_end_of_a_segment_is_met_exactly() {
    let framing = Framing { version: Version::V5, compression: None };
    for before in [None, Some(3)] {
        for over in 0..3 {
            let taken = before.map_or(0, |length| HEADER_LENGTH + length);
            let lengths: Vec<usize> = before
                .into_iter()
                .chain([MAX_PAYLOAD - 1 + over - HEADER_LENGTH - taken, 1])
                .collect();
            let mut encoder = framing.encoder();
            for length in &lengths {
                append(&mut encoder, Version::V5, 1, &vec![1; *length]);
            }
            let found =
                decode_in_pieces(&mut framing.decoder(), encoder.finished(), &[MAX_PAYLOAD])
                    .unwrap();
            let found: Vec<usize> = found.iter().map(|(_, body)| body.len()).collect();
            assert_eq!(found, lengths);
        }
    }
}

#[test]
fn memory_of_a_large_envelope_is_given_back() {
    for (version, compression) in [(Version::V4, Some(Compression::Lz4)), (Version::V5, None)] {
        let framing = Framing { version, compression };
        let mut encoder = framing.encoder();
        append(&mut encoder, version, 1, &vec![1; 4_000_000]);
        append(&mut encoder, version, 2, &[]);
        let mut decoder = framing.decoder();
        let mut input = encoder.finished();
        assert_eq!(decoder.next(&mut input).unwrap().unwrap().body.len(), 4_000_000);
        assert!(decoder.memory() >= 4_000_000);
        assert!(decoder.next(&mut input).unwrap().unwrap().body.is_empty());
        assert!(decoder.memory() <= 3_000_000, "{}", decoder.memory());
    }
}

#[test]
fn an_abandoned_envelope_leaves_nothing() {
    for compression in [None, Some(Compression::Lz4)] {
        let framing = Framing { version: Version::V5, compression };
        let mut encoder = framing.encoder();
        let envelope = encoder.begin(Version::V5, Opcode::Query, 1, Flags::default());
        encoder.body().extend_from_slice(b"half a ");
        encoder.abandon(envelope);
        assert!(encoder.finished().is_empty());
        append(&mut encoder, Version::V5, 2, b"whole");
        let found = decode_in_pieces(&mut framing.decoder(), encoder.finished(), &[7]).unwrap();
        assert_eq!(found, [(2, b"whole".to_vec())]);
        encoder.clear(0);
        assert!(encoder.is_empty());
    }
}

#[test]
fn a_split_envelope_can_t_be_interrupted_or_overrun() {
    let framing = Framing { version: Version::V5, compression: None };
    let mut split = framing.encoder();
    append(&mut split, Version::V5, 1, &vec![0; MAX_PAYLOAD]);
    let mut other = framing.encoder();
    append(&mut other, Version::V5, 2, b"");
    let split = split.finished().to_vec();
    let first_segment = &split[..6 + MAX_PAYLOAD + 4];
    let interrupted = [first_segment, other.finished()].concat();
    let error = framing.decoder().next(&mut interrupted.as_slice()).unwrap_err();
    assert!(matches!(error, ProtocolError::SegmentBoundary(_)), "{error:?}");
    let first_again = [first_segment, &split].concat();
    let error = framing.decoder().next(&mut first_again.as_slice()).unwrap_err();
    assert!(matches!(error, ProtocolError::SegmentBoundary(_)), "{error:?}");
}

#[test]
fn a_body_that_unpacks_to_much_is_handed_out_as_it_came() {
    let framing = Framing { version: Version::V4, compression: Some(Compression::Lz4) };
    let mut encoder = framing.encoder();
    for length in [1_000, 1_001] {
        append(&mut encoder, Version::V4, 1, &vec![9; length]);
    }
    let mut decoder = framing.decoder();
    decoder.set_unpack_limit(1_000);
    let mut input = encoder.finished();
    let envelope = decoder.next(&mut input).unwrap().unwrap();
    assert_eq!((envelope.is_packed(), envelope.body.len()), (false, 1_000));
    let envelope = decoder.next(&mut input).unwrap().unwrap();
    assert!(envelope.is_packed() && envelope.body.len() < 100);
    assert_eq!(envelope.unpacked_length(1_001), Ok(1_001));
    assert!(envelope.unpacked_length(1_000).is_err());
    let mut out = Vec::new();
    let envelope = envelope.unpack(1_001, &mut out).unwrap();
    assert_eq!((envelope.is_packed(), envelope.body), (false, &[9; 1_001][..]));
}

#[test]
fn a_split_envelope_is_put_together_when_there_is_room() {
    for compression in [None, Some(Compression::Lz4)] {
        let framing = Framing { version: Version::V5, compression };
        let body: Vec<u8> = (0..1_000_000_u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let needed = HEADER_LENGTH + body.len();
        let mut encoder = framing.encoder();
        append(&mut encoder, Version::V5, 1, &body);
        let mut decoder = framing.decoder();
        decoder.set_room(needed - 1);
        let mut input = encoder.finished();
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert!(decoder.is_assembling() && decoder.needed() == needed);
        assert!(decoder.memory() < 3 * MAX_PAYLOAD, "{}", decoder.memory());
        let left = input.len();
        assert_eq!(decoder.next(&mut input), Ok(None));
        assert_eq!(input.len(), left, "nothing is taken without room");
        decoder.set_room(needed);
        assert_eq!(decoder.next(&mut input).unwrap().unwrap().body, body);
        let taken = decoder.take_assembled().unwrap();
        assert_eq!(taken[HEADER_LENGTH..], body);
        assert!(!decoder.is_assembling() && decoder.take_assembled().is_none());
        assert_eq!(decoder.next(&mut input), Ok(None));
    }
}

#[test]
fn what_a_twin_finished_is_appended() {
    for version in Version::ALL {
        let framing = Framing { version, compression: None };
        let mut encoder = framing.encoder();
        append(&mut encoder, version, 1, b"one");
        let mut twin = encoder.twin();
        append(&mut twin, version, 2, &vec![2; 300_000]);
        encoder.append_finished(twin.into_finished());
        append(&mut encoder, version, 3, b"three");
        let found =
            decode_in_pieces(&mut framing.decoder(), encoder.finished(), &[50_000]).unwrap();
        assert_eq!(found.iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), [1, 2, 3]);
    }
}

/// Some drivers set the flag of compressed bodies in v5 too, where segments are compressed and not bodies.
#[test]
fn the_flag_of_compression_says_nothing_in_segments() {
    for compression in [None, Some(Compression::Lz4)] {
        for length in [60, MAX_PAYLOAD + 1] {
            let framing = Framing { version: Version::V5, compression };
            let mut encoder = framing.encoder();
            let open = encoder.begin(Version::V5, Opcode::Query, 1, Flags::COMPRESSION);
            encoder.body().extend(std::iter::repeat_n(7, length));
            encoder.finish(open).unwrap();
            let bytes = encoder.into_finished();
            let mut decoder = framing.decoder();
            let envelope = decoder.next(&mut &bytes[..]).unwrap().unwrap();
            assert_eq!((envelope.is_packed(), envelope.body.len()), (false, length));
        }
    }
}
