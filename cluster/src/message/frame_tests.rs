use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn frame_of(epoch: u64, payload: &[u8]) -> Bytes {
    encode(epoch, |out| out.extend_from_slice(payload)).unwrap()
}

/// Epoch and message.
type Received = (u64, Option<Vec<u8>>);

/// All frames of a stream, and how many bytes are left.
fn frames(mut stream: &[u8]) -> Result<(Vec<Received>, usize), FrameError> {
    let mut found = Vec::new();
    while let Decoded::Whole(Frame { epoch, message }, len) = decode(stream)? {
        found.push((epoch, message.map(Cow::into_owned)));
        stream = &stream[len..];
    }
    Ok((found, stream.len()))
}

/// Payloads that compress well, badly, and short ones.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..100),
        (any::<u8>(), COMPRESS_FROM - 10..COMPRESS_FROM * 3)
            .prop_map(|(byte, len)| vec![byte; len]),
        (any::<u64>(), COMPRESS_FROM - 10..COMPRESS_FROM * 3).prop_map(|(seed, len)| {
            let mut state = seed | 1;
            let step = |_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 56) as u8
            };
            (0..len).map(step).collect()
        }),
    ]
}

proptest! {
    #[test]
    fn frames_come_back_whatever_pieces_they_come_in(
        sent in vec((any::<u64>(), prop::option::of(payloads())), 0..6),
        cut: prop::sample::Index,
    ) {
        let mut stream = Vec::new();
        for (epoch, payload) in &sent {
            let frame = match payload {
                Some(payload) => frame_of(*epoch, payload),
                None => alive(*epoch),
            };
            stream.extend_from_slice(&frame);
        }
        prop_assert_eq!(frames(&stream), Ok((sent.clone(), 0)));
        let cut = cut.index(stream.len() + 1);
        let (first, left) = frames(&stream[..cut]).unwrap();
        prop_assert!(sent.starts_with(&first));
        if let Ok(Decoded::Needs(needed)) = decode(&stream[cut - left..cut]) {
            prop_assert!(needed > left, "asks for {} and has {}", needed, left);
        }
    }

    #[test]
    fn a_flipped_bit_never_makes_another_frame(
        payload in payloads(),
        at: prop::sample::Index,
        bit in 0..8_u32,
    ) {
        let mut bytes = frame_of(3, &payload).to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_frames_or_refused(bytes in vec(any::<u8>(), 0..100)) {
        if bytes.len() >= HEADER {
            prop_assert_eq!(decode(&bytes), Err(FrameError::Header));
        } else {
            prop_assert_eq!(decode(&bytes), Ok(Decoded::Needs(HEADER)));
        }
    }
}

#[test]
fn what_compresses_well_is_compressed_and_the_rest_is_not() {
    let zeros = vec![0; 1 << 20];
    assert!(frame_of(1, &zeros).len() < 1 << 13);
    let short = &zeros[..COMPRESS_FROM - 1];
    assert_eq!(frame_of(1, short).len(), HEADER + short.len());
}

/// A frame with right checksums, whatever it says.
fn forged(kind: u8, payload: &[u8]) -> Vec<u8> {
    finish([&[0; HEADER], payload].concat(), kind, 1).to_vec()
}

#[test]
fn lies_with_right_checksums_are_refused_before_anything_is_allocated() {
    let compressed = |len: u32, block: &[u8]| {
        decode(&forged(COMPRESSED, &[&len.to_le_bytes(), block].concat())).map(|_| ())
    };
    assert_eq!(compressed(u32::MAX, &[0; 10]), Err(FrameError::Compression(14)));
    assert_eq!(compressed(2551, &[0; 10]), Err(FrameError::Compression(14)));
    assert_eq!(compressed(100, &[0; 10]), Err(FrameError::Compression(14)));
    assert_eq!(decode(&forged(COMPRESSED, &[1, 2])), Err(FrameError::Compression(2)));
    assert_eq!(decode(&forged(ALIVE, &[1])), Err(FrameError::Kind(ALIVE)));
    assert_eq!(decode(&forged(9, &[])), Err(FrameError::Kind(9)));

    let mut header = forged(MESSAGE, &[]);
    header[..4].copy_from_slice(&(MOST_PAYLOAD as u32 + 1).to_le_bytes());
    let sum = crc32fast::hash(&header[..HEADER - 4]);
    header[HEADER - 4..].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(decode(&header), Err(FrameError::TooLong(MOST_PAYLOAD + 1)));
}

#[test]
fn a_message_that_is_too_long_is_refused_by_its_sender() {
    let long = encode(1, |out| out.resize(HEADER + MOST_PAYLOAD + 1, 0));
    assert_eq!(long, Err(FrameError::TooLong(MOST_PAYLOAD + 1)));
    assert!(encode(1, |out| out.resize(HEADER + MOST_PAYLOAD, 0)).is_ok());
}

#[test]
fn a_frame_is_the_bytes_that_are_documented() {
    let payload = b"abc";
    let mut expected = Vec::new();
    expected.put_u32_le(3);
    expected.put_u8(1);
    expected.put_u64_le(0x0102_0304_0506_0708);
    expected.put_u32_le(crc32fast::hash(payload));
    let sum = crc32fast::hash(&expected);
    expected.put_u32_le(sum);
    expected.extend_from_slice(payload);
    assert_eq!(frame_of(0x0102_0304_0506_0708, payload), expected);
}
