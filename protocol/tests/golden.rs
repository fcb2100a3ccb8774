//! Pins the bytes on the wire: a change here is a change of the protocol version.

use postcard::to_slice;
use protocol::{
    CodecError, Envelope, LeaseId, Name, Path, VERSION, block, console, control, decode, encode, fs, net, nic,
    supervisor,
};

fn bytes<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut buffer = [0; protocol::MESSAGE_BYTES];
    to_slice(value, &mut buffer).expect("fits").to_vec()
}

#[test]
fn fs_requests_keep_their_bytes() {
    let file = fs::FileHandle(3);
    assert_eq!(bytes(&fs::Request::Close(fs::Close { file })), [0, 3]);
    let read = fs::Read { file, offset: 4096, len: 512, dest: LeaseId(1) };
    assert_eq!(bytes(&fs::Request::from(read)), [1, 3, 0x80, 0x20, 0x80, 0x04, 1]);
    let walk = fs::Walk { from: file, path: Path::new(b"a/b").expect("legal"), open: Some(fs::Access::READ) };
    assert_eq!(bytes(&fs::Request::from(walk)), [4, 3, 3, b'a', b'/', b'b', 1, 1]);
    let name = Name::new(b"x").expect("legal");
    let remove = fs::Remove { dir: file, name, kind: fs::RemoveKind::Directory };
    assert_eq!(bytes(&fs::Request::from(remove)), [11, 3, 1, b'x', 1]);
    assert_eq!(bytes(&fs::Request::from(fs::StatFs {})), [19]);
    assert_eq!(bytes(&fs::Request::from(fs::Reopen { inode: 300, open: None })), [22, 0xac, 2, 0]);
}

#[test]
fn the_other_protocols_keep_their_bytes() {
    let write = block::Write { sector: 128, count: 8, src: LeaseId(0), at: 512 };
    assert_eq!(bytes(&block::Request::from(write)), [2, 0x80, 1, 8, 0, 0x80, 4]);
    assert_eq!(bytes(&nic::Request::from(nic::Receive { buffer: LeaseId(2) })), [2, 2]);
    let put = console::Put { stream: console::Stream::Log, bytes: protocol::Bytes::new(b"hi").expect("short") };
    assert_eq!(bytes(&console::Request::from(put)), [1, 2, 2, b'h', b'i']);
    let read = console::Read { stream: console::Stream::Control, len: 64, dest: LeaseId(0) };
    assert_eq!(bytes(&console::Request::from(read)), [2, 4, 64, 0]);
    assert_eq!(bytes(&control::Request::from(control::Exit { status: 125 })), [1, 125]);
    let close = net::Close { socket: net::Socket(7), abort: true };
    assert_eq!(bytes(&net::Request::from(close)), [1, 7, 1]);
    assert_eq!(bytes(&supervisor::Request::from(supervisor::Task { index: 4 })), [0, 4]);
}

#[test]
fn an_envelope_stands_before_the_body() {
    let mut buffer = [0; 64];
    let len = encode(&mut buffer, Envelope::new(2, 51), &fs::Request::from(fs::Attach {})).expect("fits");
    assert_eq!(&buffer[..len], [VERSION, 2, 51, 3]);
    let (envelope, request) = decode::<fs::Request>(&buffer[..len]).expect("whole");
    assert_eq!((envelope.generation, envelope.request), (2, 51));
    assert_eq!(request, fs::Request::Attach(fs::Attach {}));
}

#[test]
fn every_truncation_and_every_surplus_byte_is_refused() {
    let mut buffer = [0; 64];
    let request =
        fs::Request::from(fs::Walk { from: fs::FileHandle(1), path: Path::new(b"ab").expect("legal"), open: None });
    let len = encode(&mut buffer, Envelope::new(1, 1), &request).expect("fits");
    for cut in 0..len {
        assert_eq!(decode::<fs::Request>(&buffer[..cut]), Err(CodecError::Malformed));
    }
    assert_eq!(decode::<fs::Request>(&buffer[..=len]), Err(CodecError::Malformed));
    buffer[0] = VERSION + 1;
    assert_eq!(decode::<fs::Request>(&buffer[..len]), Err(CodecError::Version(VERSION + 1)));
}

#[test]
fn illegal_names_do_not_decode() {
    for name in [&b""[..], b".", b"..", b"a/b", b"a\0"] {
        let mut message = vec![VERSION, 0, 0, 11, 3, name.len() as u8];
        message.extend_from_slice(name);
        message.push(0);
        assert_eq!(decode::<fs::Request>(&message), Err(CodecError::Malformed));
    }
}

#[test]
fn directory_entries_survive_packing_and_truncations_do_not_parse() {
    let entry = fs::entry::Entry { inode: 9, cookie: 2, kind: fs::Kind::Link, name: b"name" };
    let mut out = [0; 40];
    let len = entry.emit(&mut out).expect("fits");
    assert_eq!(fs::entry::Entry::parse(&out[..len]), Some((entry, &[][..])));
    for cut in 0..len {
        assert_eq!(fs::entry::Entry::parse(&out[..cut]), None);
    }
}

#[test]
fn control_frames_are_delimited_and_versioned() {
    let mut out = [0; 32];
    let len = control::emit_frame(&mut out, &control::ToHost::Exit { status: 3 }).expect("fits");
    assert_eq!(&out[..len], [3, 0, 0, 0, control::HOST_VERSION, 1, 3]);
    assert_eq!(control::parse_frame(&out[..len]), control::Frame::Whole(control::ToHost::Exit { status: 3 }, len));
    assert_eq!(control::parse_frame::<control::ToHost>(&out[..5]), control::Frame::Incomplete);
    out[4] = 99;
    assert_eq!(control::parse_frame::<control::ToHost>(&out[..len]), control::Frame::Unknown(len));
    assert_eq!(control::parse_frame::<control::ToHost>(&[255; 8]), control::Frame::Lost);
}
