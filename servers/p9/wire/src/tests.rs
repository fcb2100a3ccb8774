//! Byte arrays from the protocol's text, every truncation of every message, and random bytes.

use std::vec::Vec;

use crate::*;

const QID: Qid = Qid { kind: flags::qid::DIR, version: 7, path: 0x0102_0304_0506_0708 };

fn attr() -> Attr {
    Attr {
        valid: flags::getattr::BASIC,
        qid: QID,
        mode: 0o100_644,
        uid: 1,
        gid: 2,
        nlink: 3,
        size: 5,
        ..Attr::default()
    }
}

/// One of each request.
fn requests() -> Vec<Request<'static>> {
    use Request::*;
    std::vec![
        Statfs { fid: 1 },
        Lopen { fid: 1, flags: flags::open::RDWR },
        Lcreate { fid: 1, name: b"new", flags: 2, mode: 0o644, gid: 9 },
        Symlink { dfid: 1, name: b"l", target: b"../t", gid: 0 },
        Mknod { dfid: 1, name: b"fifo", mode: 0o010_600, major: 1, minor: 2, gid: 3 },
        Rename { fid: 1, dfid: 2, name: b"n" },
        Readlink { fid: 1 },
        Getattr { fid: 1, mask: flags::getattr::BASIC },
        Setattr { fid: 1, attr: SetAttr { valid: 8, size: 12, ..SetAttr::default() } },
        Xattrwalk { fid: 1, newfid: 2, name: b"user.a" },
        Xattrcreate { fid: 1, name: b"user.a", size: 3, flags: 1 },
        Readdir { fid: 1, offset: 2, count: 3 },
        Fsync { fid: 1, datasync: 1 },
        Lock { fid: 1, kind: 1, flags: 0, start: 2, length: 3, proc_id: 4, client_id: b"vm" },
        Getlock { fid: 1, kind: 1, start: 2, length: 3, proc_id: 4, client_id: b"vm" },
        Link { dfid: 1, fid: 2, name: b"hard" },
        Mkdir { dfid: 1, name: b"d", mode: 0o755, gid: 0 },
        Renameat { old_dfid: 1, old_name: b"a", new_dfid: 2, new_name: b"b" },
        Unlinkat { dfid: 1, name: b"a", flags: flags::unlink::REMOVEDIR },
        Version { msize: 8192, version: VERSION },
        Auth { afid: 1, uname: b"root", aname: b"/", n_uname: 0 },
        Attach { fid: 1, afid: NO_FID, uname: b"root", aname: b"", n_uname: NO_UID },
        Flush { oldtag: 5 },
        Walk { fid: 1, newfid: 2, names: Names::new(&[b"usr", b"lib"]) },
        Read { fid: 1, offset: 2, count: 3 },
        Write { fid: 1, offset: 2, data: Data(b"hello") },
        Clunk { fid: 1 },
        Remove { fid: 1 },
    ]
}

/// One of each reply.
fn replies() -> Vec<Reply<'static>> {
    use Reply::*;
    std::vec![
        Lerror { ecode: 2 },
        Statfs { stat: StatFs { kind: 0x0102_1997, bsize: 4096, namelen: 255, ..StatFs::default() } },
        Lopen { qid: QID, iounit: 4096 },
        Lcreate { qid: QID, iounit: 0 },
        Symlink { qid: QID },
        Mknod { qid: QID },
        Rename {},
        Readlink { target: b"../t" },
        Getattr { attr: attr() },
        Setattr {},
        Xattrwalk { size: 6 },
        Xattrcreate {},
        Readdir { data: Data(b"xyz") },
        Fsync {},
        Lock { status: flags::lock::BLOCKED },
        Getlock { kind: 2, start: 1, length: 2, proc_id: 3, client_id: b"vm" },
        Link {},
        Mkdir { qid: QID },
        Renameat {},
        Unlinkat {},
        Version { msize: 8192, version: VERSION },
        Auth { aqid: QID },
        Attach { qid: QID },
        Flush {},
        Walk { qids: Qids::new(&[QID, Qid { kind: 0, version: 0, path: 1 }]) },
        Read { data: Data(b"data") },
        Write { count: 4 },
        Clunk {},
        Remove {},
    ]
}

fn request_bytes(message: &Request<'_>, tag: u16) -> Vec<u8> {
    let mut bytes = [0; 512];
    let len = message.emit(tag, &mut bytes).unwrap();
    bytes[..len].to_vec()
}

fn reply_bytes(message: &Reply<'_>, tag: u16) -> Vec<u8> {
    let mut bytes = [0; 512];
    let len = message.emit(tag, &mut bytes).unwrap();
    bytes[..len].to_vec()
}

/// A small deterministic generator (xorshift64*), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn byte(&mut self) -> u8 {
        (self.next() >> 32) as u8
    }
}

#[test]
fn a_version_request_has_the_bytes_of_the_protocol_text() {
    let bytes = request_bytes(&Request::Version { msize: 0x2000, version: VERSION }, NO_TAG);
    assert_eq!(
        bytes,
        [21, 0, 0, 0, 100, 0xff, 0xff, 0, 0x20, 0, 0, 8, 0, b'9', b'P', b'2', b'0', b'0', b'0', b'.', b'L']
    );
}

#[test]
fn a_walk_request_has_the_bytes_of_the_protocol_text() {
    let bytes = request_bytes(&Request::Walk { fid: 1, newfid: 2, names: Names::new(&[b"ab", b"c"]) }, 3);
    assert_eq!(bytes, [24, 0, 0, 0, 110, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 2, 0, b'a', b'b', 1, 0, b'c']);
}

#[test]
fn an_error_reply_is_read_from_bytes() {
    let bytes = [11, 0, 0, 0, 7, 9, 0, 2, 0, 0, 0];
    assert_eq!(Reply::parse(&bytes), Ok((9, Reply::Lerror { ecode: 2 })));
}

#[test]
fn a_getattr_reply_is_160_bytes_long() {
    assert_eq!(reply_bytes(&Reply::Getattr { attr: attr() }, 1).len(), 160);
}

#[test]
fn a_statfs_reply_is_67_bytes_long() {
    assert_eq!(reply_bytes(&Reply::Statfs { stat: StatFs::default() }, 1).len(), 67);
}

#[test]
fn every_request_reads_back_as_written() {
    for message in requests() {
        assert_eq!(Request::parse(&request_bytes(&message, 77)), Ok((77, message)));
    }
}

#[test]
fn every_reply_reads_back_as_written() {
    for message in replies() {
        assert_eq!(Reply::parse(&reply_bytes(&message, 77)), Ok((77, message)));
    }
}

#[test]
fn requests_have_even_types_and_replies_the_next_odd_one() {
    assert!(requests().iter().all(|message| message.kind() % 2 == 0));
    assert!(replies().iter().all(|message| message.kind() % 2 == 1));
}

#[test]
fn every_truncation_is_refused() {
    let all =
        requests().into_iter().map(|m| request_bytes(&m, 1)).chain(replies().into_iter().map(|m| reply_bytes(&m, 1)));
    for bytes in all.collect::<Vec<_>>() {
        for len in 0..bytes.len() {
            assert!(Request::parse(&bytes[..len]).is_err());
            assert!(Reply::parse(&bytes[..len]).is_err());
        }
    }
}

#[test]
fn every_truncation_with_a_matching_size_field_is_refused_or_shorter() {
    for message in replies() {
        let bytes = reply_bytes(&message, 1);
        for len in HEADER_LEN..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            cut[..4].copy_from_slice(&(len as u32).to_le_bytes());
            assert!(Reply::parse(&cut).is_err(), "{message:?} cut to {len}");
        }
    }
}

#[test]
fn a_longer_size_field_with_its_bytes_is_trailing() {
    for message in replies() {
        let mut bytes = reply_bytes(&message, 1);
        bytes.push(0);
        let len = bytes.len() as u32;
        bytes[..4].copy_from_slice(&len.to_le_bytes());
        assert_eq!(Reply::parse(&bytes), Err(Error::Trailing));
    }
}

#[test]
fn bytes_behind_the_message_are_ignored() {
    let mut bytes = reply_bytes(&Reply::Clunk {}, 4);
    bytes.extend([0xaa; 20]);
    assert_eq!(Reply::parse(&bytes), Ok((4, Reply::Clunk {})));
}

#[test]
fn a_size_below_the_header_or_beyond_the_buffer_is_refused() {
    assert_eq!(Packet::new_checked(&[6, 0, 0, 0, 121, 0, 0]), Err(Error::BadSize));
    assert_eq!(Packet::new_checked(&[8, 0, 0, 0, 121, 0, 0]), Err(Error::BadSize));
    assert_eq!(Packet::new_checked(&[0xff, 0xff, 0xff, 0xff, 121, 0, 0]), Err(Error::BadSize));
}

#[test]
fn every_too_small_output_is_refused() {
    for message in requests() {
        let len = request_bytes(&message, 1).len();
        for short in 0..len {
            let mut bytes = std::vec![0; short];
            assert_eq!(message.emit(1, &mut bytes), Err(Error::NoSpace));
        }
    }
}

#[test]
fn a_name_longer_than_its_length_field_is_refused() {
    let name = std::vec![b'x'; 70_000];
    let mut bytes = std::vec![0; 80_000];
    assert_eq!(Request::Mkdir { dfid: 1, name: &name, mode: 0, gid: 0 }.emit(1, &mut bytes), Err(Error::NoSpace));
}

#[test]
fn a_walk_of_more_than_sixteen_names_is_refused_both_ways() {
    let names = [b"a".as_slice(); 17];
    let mut bytes = [0; 512];
    assert_eq!(
        Request::Walk { fid: 1, newfid: 2, names: Names::new(&names) }.emit(1, &mut bytes),
        Err(Error::BadValue)
    );
    let mut raw = request_bytes(&Request::Walk { fid: 1, newfid: 2, names: Names::new(&names[..16]) }, 1);
    raw[15] = 17;
    assert_eq!(Request::parse(&raw), Err(Error::BadValue));
}

#[test]
fn directory_entries_read_back_and_stop_at_the_first_bad_one() {
    let mut bytes = [0; 128];
    let mut writer = DirWriter::new(&mut bytes);
    let entries = [
        DirEntry { qid: QID, offset: 1, kind: 4, name: b"." },
        DirEntry { qid: QID, offset: 2, kind: 8, name: b"file" },
    ];
    entries.iter().for_each(|entry| writer.push(entry).unwrap());
    let len = writer.len();
    assert!(DirEntries::new(&bytes[..len]).map(Result::unwrap).eq(entries));
    for cut in 26..len {
        let read: Vec<_> = DirEntries::new(&bytes[..cut]).collect();
        assert_eq!(read, [Ok(entries[0]), Err(Error::Truncated)]);
    }
}

#[test]
fn an_entry_that_does_not_fit_leaves_the_others_whole() {
    let mut bytes = [0; 30];
    let mut writer = DirWriter::new(&mut bytes);
    writer.push(&DirEntry { qid: QID, offset: 1, kind: 4, name: b"a" }).unwrap();
    assert_eq!(writer.push(&DirEntry { qid: QID, offset: 2, kind: 4, name: b"b" }), Err(Error::NoSpace));
    assert_eq!(writer.len(), 25);
}

#[test]
fn entry_names_with_slash_nul_or_nothing_are_refused() {
    for name in [b"".as_slice(), b"a/b", b"a\0"] {
        let mut bytes = [0; 64];
        let mut writer = DirWriter::new(&mut bytes);
        writer.push(&DirEntry { qid: QID, offset: 1, kind: 0, name }).unwrap();
        let len = writer.len();
        assert_eq!(DirEntries::new(&bytes[..len]).next(), Some(Err(Error::BadValue)));
    }
}

#[test]
fn a_read_head_gives_count_or_error_and_checks_both() {
    let read = reply_bytes(&Reply::Read { data: Data(&[1; 100]) }, 6);
    assert_eq!(ReadHead::parse(&read[..11], READ_REPLY, 100), Ok((6, ReadHead::Data { count: 100 })));
    assert_eq!(ReadHead::parse(&read[..11], READ_REPLY, 99), Err(Error::BadValue));
    assert_eq!(ReadHead::parse(&read[..11], READDIR_REPLY, 100), Err(Error::UnknownType(117)));
    assert_eq!(ReadHead::parse(&read[..10], READ_REPLY, 100), Err(Error::Truncated));
    let mut lie = read.clone();
    lie[0] = lie[0].wrapping_add(1);
    assert_eq!(ReadHead::parse(&lie[..11], READ_REPLY, 100), Err(Error::BadSize));
    let refused = reply_bytes(&Reply::Lerror { ecode: 5 }, 6);
    assert_eq!(ReadHead::parse(&refused, READ_REPLY, 100), Ok((6, ReadHead::Refused { ecode: 5 })));
}

#[test]
fn a_write_head_and_its_data_make_a_write_request() {
    let mut bytes = [0; 64];
    let len = WriteHead { fid: 4, offset: 9, count: 5 }.emit(2, &mut bytes).unwrap();
    assert_eq!(len, WRITE_REQUEST_HEAD);
    bytes[len..len + 5].copy_from_slice(b"hello");
    assert_eq!(Request::parse(&bytes), Ok((2, Request::Write { fid: 4, offset: 9, data: Data(b"hello") })));
}

#[test]
fn random_bytes_are_refused_or_read_back_and_never_panic() {
    let mut random = Random(0x5eed);
    for _ in 0..200_000 {
        let len = (random.next() % 80) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| random.byte()).collect();
        if len >= HEADER_LEN {
            bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
            bytes[4] %= 128;
        }
        if let Ok((tag, message)) = Request::parse(&bytes) {
            assert_eq!(request_bytes(&message, tag), bytes);
        }
        if let Ok((tag, message)) = Reply::parse(&bytes) {
            assert_eq!(reply_bytes(&message, tag), bytes);
        }
        let _ = ReadHead::parse(&bytes, READ_REPLY, 64);
        DirEntries::new(&bytes).for_each(drop);
    }
}

#[test]
fn flipped_bits_in_real_messages_never_panic() {
    let mut random = Random(0xf11b);
    for message in replies() {
        let bytes = reply_bytes(&message, 1);
        for _ in 0..500 {
            let mut bent = bytes.clone();
            let at = (random.next() as usize) % bent.len();
            bent[at] ^= 1 << (random.next() % 8);
            if let Ok((_, message)) = Reply::parse(&bent) {
                let _ = std::format!("{message:?}");
            }
        }
    }
}
