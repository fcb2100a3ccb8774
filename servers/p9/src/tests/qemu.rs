//! The server against the 9P server inside QEMU, without a guest: its processor stays stopped, and this file
//! plays the driver of its virtio-mmio device, over the qtest socket (QEMU docs/devel/testing/qtest).
//!
//! Where QEMU is not installed the test says so and ends.

use super::device::BIT;
use crate::{Options, Server};
use protocol::fs::{self, Access, Error, Kind, RemoveKind};
use rt::device::p9::P9Device;
use rt::device::{DeviceError, Segment, Tag};
use rt::fake::{FakeMachine, block_on};
use rt::{Bits, Runtime};
use std::cell::{Cell, RefCell};
use std::format;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::string::{String, ToString};
use std::time::Duration;
use std::vec;
use std::vec::Vec;

use super::bench::Bench;

/// Where microvm has its virtio-mmio windows (QEMU include/hw/i386/microvm.h).
const MMIO_BASE: u64 = 0xfeb0_0000;
const MMIO_STRIDE: u64 = 512;
const MMIO_COUNT: u64 = 24;
/// VIRTIO 1.2 section 5: device number of the 9P transport.
const DEVICE_9P: u32 = 9;

/// Registers (VIRTIO 1.2 section 4.2.2).
mod register {
    pub const DEVICE_ID: u64 = 0x008;
    pub const DRIVER_FEATURES: u64 = 0x020;
    pub const DRIVER_FEATURES_SELECT: u64 = 0x024;
    pub const QUEUE_SELECT: u64 = 0x030;
    pub const QUEUE_SIZE: u64 = 0x038;
    pub const QUEUE_READY: u64 = 0x044;
    pub const QUEUE_NOTIFY: u64 = 0x050;
    pub const STATUS: u64 = 0x070;
    pub const QUEUE_TABLE: u64 = 0x080;
    pub const QUEUE_AVAILABLE: u64 = 0x090;
    pub const QUEUE_USED: u64 = 0x0a0;
}

const SLOTS: u16 = 24;
const SLOT_DESCRIPTORS: u16 = 5;
const QUEUE: u16 = 128;
const TABLE: u64 = 0x10_0000;
const AVAILABLE: u64 = 0x10_2000;
const USED: u64 = 0x10_4000;
const DATA: u64 = 0x20_0000;
const SLOT_BYTES: u64 = 0x8_0000;

/// QEMU's process; ends with the test, however that ends. (The executor's jobs keep the device alive for ever.)
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A line-based connection to QEMU.
struct Qtest {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

/// Waits for QEMU to connect, or to end with an error.
fn accept(listener: &UnixListener, child: &mut Child) -> UnixStream {
    listener.set_nonblocking(true).unwrap();
    loop {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(false).unwrap();
            return stream;
        }
        assert_eq!(child.try_wait().unwrap(), None, "QEMU does not start");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Qtest {
    /// Starts QEMU with `shared` as the folder; `None` if it is not installed.
    fn start(work: &Path, shared: &Path) -> Option<(Self, Process)> {
        let socket = work.join("qtest");
        let listener = UnixListener::bind(&socket).unwrap();
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-M", "microvm", "-accel", "tcg", "-S", "-m", "64", "-display", "none", "-nodefaults"]);
        command.arg("-qtest").arg(format!("unix:{}", socket.display()));
        command.args(["-qtest-log", "/dev/null", "-global", "virtio-mmio.force-legacy=off"]);
        command.arg("-fsdev").arg(format!("local,id=f,path={},security_model=none", shared.display()));
        command.args(["-device", "virtio-9p-device,fsdev=f,mount_tag=test"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let stream = accept(&listener, &mut child);
        let lines = BufReader::new(stream.try_clone().unwrap());
        Some((Self { stream, lines }, Process(child)))
    }

    /// Sends a command; the words behind its `OK`.
    fn command(&mut self, line: &str) -> String {
        self.stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        loop {
            let mut answer = String::new();
            assert_ne!(self.lines.read_line(&mut answer).unwrap(), 0, "QEMU has ended");
            if let Some(rest) = answer.strip_prefix("OK") {
                return rest.trim().to_string();
            }
            assert!(answer.starts_with("IRQ"), "{answer}");
        }
    }

    fn set(&mut self, at: u64, value: u32) {
        self.command(&format!("writel {at:#x} {value:#x}"));
    }

    fn get(&mut self, at: u64) -> u32 {
        let word = self.command(&format!("readl {at:#x}"));
        u64::from_str_radix(word.trim_start_matches("0x"), 16).unwrap() as u32
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        if !bytes.is_empty() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            self.command(&format!("write {at:#x} {:#x} 0x{hex}", bytes.len()));
        }
    }

    fn read(&mut self, at: u64, len: usize) -> Vec<u8> {
        if len == 0 {
            return vec![];
        }
        let hex = self.command(&format!("read {at:#x} {len:#x}"));
        let digits = hex.trim_start_matches("0x").as_bytes();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn read_u16(&mut self, at: u64) -> u16 {
        let bytes = self.read(at, 2);
        u16::from_le_bytes([bytes[0], bytes[1]])
    }
}

/// The driver of QEMU's device.
struct QemuDevice {
    qtest: RefCell<Qtest>,
    window: u64,
    replies: RefCell<Vec<Option<Vec<Segment>>>>,
    available: Cell<u16>,
    used: Cell<u16>,
    pending: Rc<Cell<Bits>>,
    kicks: Cell<usize>,
}

impl QemuDevice {
    fn new(mut qtest: Qtest, pending: Rc<Cell<Bits>>) -> Rc<Self> {
        let windows = (0..MMIO_COUNT).map(|index| MMIO_BASE + index * MMIO_STRIDE);
        let window = windows.into_iter().find(|base| qtest.get(base + register::DEVICE_ID) == DEVICE_9P);
        let window = window.expect("one window holds the device");
        let mut set = |register, value| qtest.set(window + register, value);
        set(register::STATUS, 0);
        set(register::STATUS, 1 | 2);
        // VIRTIO_F_VERSION_1 is bit 32.
        set(register::DRIVER_FEATURES_SELECT, 1);
        set(register::DRIVER_FEATURES, 1);
        set(register::STATUS, 1 | 2 | 8);
        set(register::QUEUE_SELECT, 0);
        set(register::QUEUE_SIZE, u32::from(QUEUE));
        set(register::QUEUE_TABLE, TABLE as u32);
        set(register::QUEUE_AVAILABLE, AVAILABLE as u32);
        set(register::QUEUE_USED, USED as u32);
        set(register::QUEUE_READY, 1);
        set(register::STATUS, 1 | 2 | 8 | 4);
        Rc::new(Self {
            qtest: RefCell::new(qtest),
            window,
            replies: RefCell::new((0..SLOTS).map(|_| None).collect()),
            available: Cell::new(0),
            used: Cell::new(0),
            pending,
            kicks: Cell::new(0),
        })
    }

    fn under_way(&self) -> bool {
        self.replies.borrow().iter().any(Option::is_some)
    }

    /// Writes descriptors for one exchange; the buffers lie one behind the other in the slot's memory.
    fn describe(&self, slot: u16, request: &[Segment], reply: &[Segment]) {
        let mut at = DATA + u64::from(slot) * SLOT_BYTES;
        let first = slot * SLOT_DESCRIPTORS;
        let all: Vec<_> = request.iter().map(|part| (part, 0u16)).chain(reply.iter().map(|part| (part, 2))).collect();
        assert!(all.len() <= usize::from(SLOT_DESCRIPTORS));
        let mut qtest = self.qtest.borrow_mut();
        for (index, (part, writable)) in all.iter().enumerate() {
            if *writable == 0 {
                let mut bytes = vec![0; part.len];
                part.memory.read(part.at, &mut bytes).unwrap();
                qtest.write(at, &bytes);
            }
            let number = first + index as u16;
            let more = u16::from(index + 1 < all.len());
            let mut descriptor = vec![];
            descriptor.extend(at.to_le_bytes());
            descriptor.extend((part.len as u32).to_le_bytes());
            descriptor.extend((writable | more).to_le_bytes());
            descriptor.extend((number + 1).to_le_bytes());
            qtest.write(TABLE + u64::from(number) * 16, &descriptor);
            at += part.len as u64;
        }
        assert!(at <= DATA + u64::from(slot + 1) * SLOT_BYTES);
        let index = self.available.get();
        qtest.write(AVAILABLE + 4 + u64::from(index % QUEUE) * 2, &first.to_le_bytes());
        self.available.set(index.wrapping_add(1));
    }

    /// Copies a finished reply to its segments.
    fn deliver(&self, slot: u16, reply: &[Segment], request_len: u64, written: usize) {
        let mut at = DATA + u64::from(slot) * SLOT_BYTES + request_len;
        let mut rest = written;
        for part in reply {
            let len = part.len.min(rest);
            let bytes = self.qtest.borrow_mut().read(at, len);
            part.memory.write(part.at, &bytes).unwrap();
            at += part.len as u64;
            rest -= len;
        }
    }
}

impl P9Device for QemuDevice {
    fn mount_tag(&self) -> String {
        "test".to_string()
    }
    fn max_pieces(&self) -> u32 {
        32
    }
    fn submit(&self, request: &[Segment], reply: &[Segment]) -> Result<Tag, DeviceError> {
        let free = self.replies.borrow().iter().position(Option::is_none).ok_or(DeviceError::Full)? as u16;
        self.describe(free, request, reply);
        // The first element says how far the request reaches, for `deliver`.
        let mut kept: Vec<Segment> = request.to_vec();
        kept.extend(reply.iter().cloned());
        kept.rotate_left(request.len());
        let mark = Segment { memory: kept[0].memory.clone(), at: 0, len: request.iter().map(|part| part.len).sum() };
        kept.truncate(reply.len());
        kept.insert(0, mark);
        self.replies.borrow_mut()[usize::from(free)] = Some(kept);
        Ok(free)
    }
    fn kick(&self) {
        self.kicks.set(self.kicks.get() + 1);
        let mut qtest = self.qtest.borrow_mut();
        qtest.write(AVAILABLE + 2, &self.available.get().to_le_bytes());
        qtest.set(self.window + register::QUEUE_NOTIFY, 0);
        self.pending.set(self.pending.get() | 1 << BIT);
    }
    fn completed(&self) -> Option<(Tag, usize)> {
        let used = self.used.get();
        if self.qtest.borrow_mut().read_u16(USED + 2) == used {
            if self.under_way() {
                self.pending.set(self.pending.get() | 1 << BIT);
            }
            return None;
        }
        let element = self.qtest.borrow_mut().read(USED + 4 + u64::from(used % QUEUE) * 8, 8);
        let word = |at: usize| u32::from_le_bytes(element[at..at + 4].try_into().unwrap());
        let slot = word(0) as u16 / SLOT_DESCRIPTORS;
        self.used.set(used.wrapping_add(1));
        let kept = self.replies.borrow_mut()[usize::from(slot)].take().expect("QEMU answers what was asked");
        self.deliver(slot, &kept[1..], kept[0].len as u64, word(4) as usize);
        Some((slot, word(4) as usize))
    }
    fn bit(&self) -> u8 {
        BIT
    }
    fn acknowledge(&self) {
        while self.under_way() && self.qtest.borrow_mut().read_u16(USED + 2) == self.used.get() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    fn reset(&self) {}
}

/// A server on a folder that QEMU shares; `None` without QEMU.
fn start() -> Option<(Bench, Rc<QemuDevice>, Process)> {
    let dir = tempfile::tempdir().unwrap();
    let work = tempfile::tempdir().unwrap();
    let (qtest, process) = Qtest::start(work.path(), dir.path())?;
    let machine = FakeMachine::new(0);
    let runtime = Runtime::new(machine.clone());
    let device = QemuDevice::new(qtest, machine.pending());
    let (inner, behind) = (runtime.clone(), device.clone());
    let connecting = async move { Server::connect(&inner, behind, &Options::default()).await };
    let server = block_on(&runtime, connecting).ok().unwrap();
    let unused = super::device::FakeDevice::new(super::host::Host::new(dir.path(), Default::default()), Rc::default());
    let mut bench = Bench { dir, machine, runtime, device: unused, server: Rc::new(server), root: fs::FileHandle(0) };
    bench.root = bench.attach().unwrap().root;
    Some((bench, device, process))
}

#[test]
fn the_9p_server_of_qemu_is_served() {
    let Some((bench, device, _process)) = start() else {
        std::eprintln!("not run: qemu-system-x86_64 is not installed");
        return;
    };
    names(&bench);
    data(&bench);
    edits(&bench);
    for kicks in [2, 3, 1, 1] {
        let before = device.kicks.get();
        let file = bench.opened(b"d/with-a-name-7", Access::READ);
        bench.settle();
        // The second open also walks a spare; see `spare`.
        assert_eq!(device.kicks.get() - before, kicks);
        assert_eq!(bench.close(file), Ok(()));
        bench.settle();
    }
    assert_eq!(bench.machine.lines(), [] as [String; 0]);
}

fn names(bench: &Bench) {
    let dir = bench.mkdir(bench.root, b"d").unwrap().file;
    let made = bench.make(dir, b"page").unwrap();
    assert_eq!((made.attr.kind, made.attr.mode), (Kind::File, 0o640));
    assert_eq!(bench.make(dir, b"page"), Err(Error::Exists));
    assert_eq!(made.attr.inode, std::fs::metadata(bench.at("d/page")).unwrap().ino());
    assert_eq!(bench.link(made.file, bench.root, b"second").unwrap().links, 2);
    assert_eq!(bench.remove(bench.root, b"d", RemoveKind::Directory), Err(Error::NotEmpty));
    assert_eq!(bench.remove(bench.root, b"second", RemoveKind::Directory), Err(Error::NotDirectory));
    assert_eq!(bench.remove(bench.root, b"second", RemoveKind::File), Ok(()));
    let walked = bench.find(bench.root, b"d/none/x", None).unwrap();
    assert_eq!((walked.count, walked.stop), (1, Some(Error::NotFound)));
    let file = bench.find(bench.root, b"d/page/x", None).unwrap();
    assert_eq!((file.count, file.stop), (2, Some(Error::NotDirectory)));
    std::os::unix::fs::symlink("d", bench.at("l")).unwrap();
    let link = bench.find(bench.root, b"l/page", None).unwrap();
    assert_eq!((link.count, link.stop, link.node.attr.kind), (1, Some(Error::NotDirectory), Kind::Link));
    (0..200).for_each(|n| bench.put_file(&format!("d/with-a-name-{n}"), b""));
    let open = bench.open(fs::Open { node: dir, access: Access::READ }, &[]).unwrap().file;
    let (mut count, mut cookie) = (0, 0);
    loop {
        let (names, last) = bench.list(open, cookie, 2000).unwrap();
        if names.is_empty() {
            break;
        }
        count += names.len();
        cookie = last;
    }
    assert_eq!(count, 201);
    assert!(bench.find(open, b"page", None).is_ok_and(|walked| walked.count == 1), "from an open directory");
    assert!(bench.stat_fs().unwrap().blocks > 0);
}

fn data(bench: &Bench) {
    let file = bench.opened(b"d/page", Access::READ | Access::WRITE);
    let bytes: Vec<u8> = (0..100_000u32).map(|at| (at * 7) as u8).collect();
    assert_eq!(bench.put(file, 5, &bytes), Ok(100_000));
    assert!(bench.bytes(file, 5, 100_000).unwrap() == bytes);
    assert!(std::fs::read(bench.at("d/page")).unwrap()[5..] == bytes[..]);
    assert_eq!(bench.sync(fs::Sync { file, data_only: false }, &[]), Ok(()));
    let change = fs::AttrChange { size: Some(3), mode: Some(0o600), ..fs::AttrChange::default() };
    let attr = bench.set_attr(fs::SetAttr { node: file, change }, &[]).unwrap();
    assert_eq!((attr.size, attr.mode), (3, 0o600));
    let gone = bench.make(bench.root, b"gone").unwrap().file;
    bench.put(gone, 0, b"still").unwrap();
    assert_eq!(bench.remove(bench.root, b"gone", RemoveKind::File), Ok(()));
    bench.put(gone, 5, b" here").unwrap();
    assert_eq!(bench.bytes(gone, 0, 100).unwrap(), b"still here");
    assert_eq!(bench.get_attr(gone).map(|attr| (attr.links, attr.size)), Ok((0, 10)));
}

fn edits(bench: &Bench) {
    let node = bench.find(bench.root, b"d/page", None).unwrap().node.file;
    let open = bench.opened(b"d/page", Access::READ);
    bench.put_file("d/page~", b"new text");
    std::fs::rename(bench.at("d/page~"), bench.at("d/page")).unwrap();
    assert_eq!(bench.get_attr(node), Err(Error::Stale));
    assert_eq!(bench.bytes(open, 0, 100).unwrap().len(), 3);
    let fresh = bench.opened(b"d/page", Access::READ);
    assert_eq!(bench.bytes(fresh, 0, 100).unwrap(), b"new text");
}
