//! specs/journal.md as claims: what a crash may leave is cut, everything else is named.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use pocketmesh_ledger::journal::{
    AppendError, BATCH_BYTES_MAX, Chain, Damage, End, FRAME_OVERHEAD_BYTES, Fault, HEADER_BYTES, Header, HeaderError,
    PAYLOAD_BYTES_MAX, ReadError, Reader, Record,
};
use pocketmesh_types::Hash;
use proptest::prelude::*;

const SECTOR_BYTES: usize = 512;

fn header() -> Header {
    Header { context: Hash::of(b"a network"), genesis: Hash::of(b"random"), first_sequence: 7 }
}

/// A journal of batches, and where each frame ends.
struct Written {
    bytes: Vec<u8>,
    chain: Chain,
    frame_ends: Vec<usize>,
    last_batch_start: usize,
}

fn write(batches: &[Vec<Vec<u8>>]) -> Written {
    let mut chain = Chain::new(&header());
    let mut bytes = header().encode().to_vec();
    let mut frame_ends = Vec::new();
    let mut last_batch_start = bytes.len();
    for batch in batches {
        last_batch_start = bytes.len();
        for payload in batch {
            chain.append(payload, &mut bytes).unwrap();
            frame_ends.push(bytes.len());
        }
        chain.mark_synced();
    }
    Written { bytes, chain, frame_ends, last_batch_start }
}

fn read_in_pieces(bytes: &[u8], piece: usize) -> Result<(Vec<Record>, End), ReadError> {
    let mut reader = Reader::new(header().context);
    let mut records = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.feed(piece);
        while let Some(record) = reader.next()? {
            records.push(record);
        }
    }
    Ok((records, reader.finish()?))
}

fn read(bytes: &[u8]) -> Result<(Vec<Record>, End), ReadError> {
    read_in_pieces(bytes, 1 << 16)
}

fn payloads(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(|record| record.payload.clone()).collect()
}

fn singles(count: u8) -> Vec<Vec<Vec<u8>>> {
    (0..count).map(|index| vec![vec![index; 10 + index as usize]]).collect()
}

fn batches() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let payload = prop::collection::vec(any::<u8>(), 0..300);
    prop::collection::vec(prop::collection::vec(payload, 1..4), 1..5)
}

#[test]
fn header_layout_is_the_one_in_the_spec() {
    let bytes = header().encode();
    assert_eq!(bytes.len(), 120);
    assert_eq!(&bytes[..12], b"pmjournl\x01\0\0\0");
    assert_eq!(bytes[16..48], header().context.0);
    assert_eq!(bytes[48..56], 7u64.to_le_bytes());
    assert_eq!(bytes[56..88], header().genesis.0);
}

#[test]
fn frame_layout_is_the_one_in_the_spec() {
    let Written { bytes, chain, .. } = write(&[vec![b"one".to_vec()], vec![b"two!".to_vec()]]);
    let second = &bytes[HEADER_BYTES + FRAME_OVERHEAD_BYTES + 3..];
    assert_eq!(&second[..4], b"pmrd");
    assert_eq!(second[4..8], 4u32.to_le_bytes());
    assert_eq!(second[8..16], 8u64.to_le_bytes());
    assert_eq!(second[16..24], 8u64.to_le_bytes());
    assert_eq!(&second[32..36], b"two!");
    assert_eq!(second[36..], chain.value().0);
}

#[test]
fn foreign_files_are_refused_by_name() {
    let good = write(&singles(2)).bytes;
    assert_eq!(read(b"").unwrap_err(), HeaderError::NotAJournal.into());
    assert_eq!(read(&[b'x'; 500]).unwrap_err(), HeaderError::NotAJournal.into());
    let mut later = good.clone();
    later[8] = 2;
    assert_eq!(read(&later).unwrap_err(), HeaderError::Version(2).into());
    let mut flipped = good.clone();
    flipped[60] ^= 1;
    assert_eq!(read(&flipped).unwrap_err(), HeaderError::Damaged.into());
    let mut reader = Reader::new(Hash::of(b"another network"));
    reader.feed(&good);
    assert!(matches!(reader.next(), Err(ReadError::Header(HeaderError::OtherContext { .. }))));
}

#[test]
fn empty_records_are_records() {
    let written = write(&[vec![vec![], vec![1]]]);
    assert_eq!(payloads(&read(&written.bytes).unwrap().0), [vec![], vec![1]]);
}

#[test]
fn too_long_a_payload_is_refused_before_anything_is_written() {
    let mut chain = Chain::new(&header());
    let mut out = Vec::new();
    let payload = vec![0; PAYLOAD_BYTES_MAX + 1];
    assert_eq!(chain.append(&payload, &mut out), Err(AppendError::TooLong(PAYLOAD_BYTES_MAX + 1)));
    assert!(out.is_empty());
    assert_eq!(chain.next_sequence(), 7);
}

#[test]
fn every_truncation_point_yields_the_records_before_it() {
    let batches = singles(6);
    let all: Vec<_> = batches.concat();
    let written = write(&batches);
    for cut in HEADER_BYTES..written.bytes.len() {
        let (records, end) = read(&written.bytes[..cut]).unwrap();
        let whole = written.frame_ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(payloads(&records), all[..whole], "cut at {cut}");
        assert_eq!(end.good_bytes + end.torn_bytes, cut as u64);
        assert_eq!(end.torn_bytes == 0, cut == HEADER_BYTES || written.frame_ends.contains(&cut));
    }
}

#[test]
fn every_flipped_bit_before_the_last_batch_is_damage_and_in_it_a_torn_tail() {
    let batches = singles(5);
    let written = write(&batches);
    for bit in HEADER_BYTES * 8..written.bytes.len() * 8 {
        let mut bytes = written.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let index = written.frame_ends.iter().filter(|end| **end <= bit / 8).count();
        let start = if index == 0 { HEADER_BYTES } else { written.frame_ends[index - 1] };
        match read(&bytes) {
            Err(ReadError::Damage(damage)) => {
                assert!(start < written.last_batch_start);
                assert_eq!((damage.sequence, damage.offset), (7 + index as u64, start as u64), "bit {bit}");
            }
            Ok((records, end)) => {
                assert_eq!(start, written.last_batch_start, "bit {bit} went unnoticed");
                assert_eq!((records.len(), end.good_bytes), (4, start as u64));
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
}

#[test]
fn after_a_seal_every_flipped_bit_in_a_record_is_damage() {
    let Written { mut bytes, mut chain, .. } = write(&singles(3));
    let records_end = bytes.len();
    chain.seal(&mut bytes);
    assert_eq!(read(&bytes).unwrap().0.len(), 3);
    for bit in HEADER_BYTES * 8..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let result = read(&flipped);
        if bit / 8 < records_end {
            assert!(matches!(result, Err(ReadError::Damage(_))), "bit {bit}");
        } else {
            assert_eq!(result.unwrap().0.len(), 3, "a bad seal takes no record with it");
        }
    }
}

#[test]
fn a_torn_batch_is_cut_whichever_of_its_sectors_reached_the_disk() {
    let stored = vec![vec![1; 400]];
    let torn: Vec<_> = (0..4).map(|index| vec![index; 500]).collect();
    let written = write(&[stored.clone(), torn]);
    let first = written.last_batch_start / SECTOR_BYTES;
    let sectors = written.bytes.len().div_ceil(SECTOR_BYTES) - first;
    for lost in 1u32..1 << sectors {
        let mut bytes = written.bytes.clone();
        for (at, byte) in bytes.iter_mut().enumerate().skip(written.last_batch_start) {
            if lost & 1 << (at / SECTOR_BYTES - first) != 0 {
                *byte = 0;
            }
        }
        let (records, end) = read(&bytes).unwrap();
        assert!(!records.is_empty() && records.len() < 5);
        assert_eq!(payloads(&records[..1]), stored);
        assert!(end.torn_bytes > 0);
    }
}

#[test]
fn appending_goes_on_after_a_torn_tail() {
    let batches = singles(3);
    let written = write(&batches);
    let torn = &written.bytes[..written.bytes.len() - 5];
    let (_, End { mut chain, good_bytes, torn_bytes }) = read(torn).unwrap();
    assert!(torn_bytes > 0);
    let mut bytes = torn[..good_bytes as usize].to_vec();
    chain.append(b"after the crash", &mut bytes).unwrap();
    let (records, end) = read(&bytes).unwrap();
    assert_eq!(payloads(&records), [batches[0][0].clone(), batches[1][0].clone(), b"after the crash".to_vec()]);
    assert_eq!(records[2].sequence, 9);
    assert_eq!((end.torn_bytes, end.chain.value()), (0, chain.value()));
}

#[test]
fn damage_before_a_torn_tail_is_still_damage() {
    let written = write(&singles(4));
    let mut bytes = written.bytes[..written.bytes.len() - 3].to_vec();
    bytes[HEADER_BYTES + 40] ^= 4;
    let damage = Damage { sequence: 7, offset: HEADER_BYTES as u64, fault: Fault::Chain, bytes_behind: 74 };
    assert_eq!(read(&bytes).unwrap_err(), damage.into());
}

#[test]
fn swapped_removed_and_repeated_records_are_damage() {
    let Written { bytes, frame_ends, .. } = write(&singles(5));
    let frame = |index: usize| bytes[frame_ends[index - 1]..frame_ends[index]].to_vec();
    let head = bytes[..frame_ends[0]].to_vec();
    let swapped = [head.clone(), frame(2), frame(1), frame(3)].concat();
    let removed = [head.clone(), frame(2), frame(3), frame(4)].concat();
    let repeated = [head, frame(1), frame(1), frame(2), frame(3)].concat();
    for (bytes, found) in [(swapped, 9), (removed, 9), (repeated, 8)] {
        let Err(ReadError::Damage(damage)) = read(&bytes) else { panic!("order was not checked") };
        assert_eq!(damage.fault, Fault::Sequence(found));
    }
}

#[test]
fn a_record_of_another_journal_is_no_proof_and_no_record() {
    let mut written = write(&singles(2));
    let other = Header { genesis: Hash::of(b"other"), ..header() };
    let mut chain = Chain::new(&other);
    chain.append(b"", &mut Vec::new()).unwrap();
    chain.append(b"", &mut Vec::new()).unwrap();
    let good_bytes = written.bytes.len() as u64;
    chain.append(b"foreign", &mut written.bytes).unwrap();
    chain.mark_synced();
    chain.append(b"foreign", &mut written.bytes).unwrap();
    let (records, end) = read(&written.bytes).unwrap();
    assert_eq!((records.len(), end.good_bytes), (2, good_bytes));
}

#[test]
fn a_tail_longer_than_any_batch_is_damage() {
    let mut written = write(&singles(2));
    let good = written.bytes.len();
    written.bytes.resize(good + BATCH_BYTES_MAX, 0);
    assert_eq!(read(&written.bytes).unwrap().1.torn_bytes, BATCH_BYTES_MAX as u64);
    written.bytes.push(0);
    let Err(ReadError::Damage(damage)) = read(&written.bytes) else { panic!("an endless tail was cut") };
    assert_eq!((damage.offset, damage.fault), (good as u64, Fault::NoHead));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_records_in_any_batches_read_back_in_any_pieces(batches in batches(), piece in 1usize..700) {
        let written = write(&batches);
        let (records, end) = read_in_pieces(&written.bytes, piece).unwrap();
        prop_assert_eq!(payloads(&records), batches.concat());
        prop_assert_eq!(end.torn_bytes, 0);
        prop_assert_eq!(end.chain.value(), written.chain.value());
        prop_assert_eq!(end.chain.next_sequence(), written.chain.next_sequence());
    }

    #[test]
    fn overwritten_stretches_never_yield_a_wrong_record(
        batches in batches(), at in any::<prop::sample::Index>(), junk in prop::collection::vec(any::<u8>(), 1..200), piece in 1usize..700,
    ) {
        let mut bytes = write(&batches).bytes;
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + junk.len());
        bytes[at..end].copy_from_slice(&junk[..end - at]);
        if let Ok((records, _)) = read_in_pieces(&bytes, piece) {
            let all = batches.concat();
            prop_assert!(records.len() <= all.len());
            prop_assert_eq!(payloads(&records), all[..records.len()].to_vec());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..100) {
        let mut file = header().encode().to_vec();
        file.extend_from_slice(&bytes);
        prop_assert!(read_in_pieces(&file, piece).is_ok_and(|(records, _)| records.is_empty()));
        prop_assert!(read_in_pieces(&bytes, piece).is_err());
    }
}
