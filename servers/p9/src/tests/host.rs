//! A 9P2000.L host over `std::fs`. Like QEMU it keeps a path per fid, looks attributes up by path, and keeps
//! open files open.

use p9_wire::{Attr, Data, DirEntry, DirWriter, Qid, Qids, Reply, Request, SetAttr, StatFs, Time, VERSION, flags};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::vec;
use std::vec::Vec;

const ENOENT: u32 = 2;
const EBADF: u32 = 9;
const EINVAL: u32 = 22;
const ENODATA: u32 = 61;

/// How this host differs from others.
#[derive(Clone, Copy)]
pub struct Style {
    /// Twalk tells how far it got; else a missing name anywhere is an error (QEMU before 6.2).
    pub partial_walks: bool,
    /// Message limit that it agrees to.
    pub msize: u32,
    /// Most bytes of one Rread.
    pub read_limit: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self { partial_walks: true, msize: u32::MAX, read_limit: usize::MAX }
    }
}

enum Open {
    No,
    File(File),
    Directory(Vec<(Vec<u8>, Qid, u8)>),
    XattrRead(Vec<u8>),
    XattrWrite { name: Vec<u8>, value: Vec<u8>, size: usize, flags: u32 },
}

struct Fid {
    path: PathBuf,
    open: Open,
}

/// The host's side of one session.
pub struct Host {
    root: PathBuf,
    style: Style,
    fids: HashMap<u32, Fid>,
    /// By inode; kept here because not every temporary directory has them.
    xattrs: HashMap<u64, BTreeMap<Vec<u8>, Vec<u8>>>,
}

type Answer = Result<Reply<'static>, u32>;

fn number(error: io::Error) -> u32 {
    error.raw_os_error().map_or(5, i32::cast_unsigned)
}

fn qid(meta: &Metadata) -> Qid {
    let kind = match meta.file_type() {
        kind if kind.is_dir() => flags::qid::DIR,
        kind if kind.is_symlink() => flags::qid::SYMLINK,
        _ => flags::qid::FILE,
    };
    Qid { kind, version: 0, path: meta.ino() }
}

fn time(seconds: i64, nanoseconds: i64) -> Time {
    Time { seconds: seconds.cast_unsigned(), nanoseconds: nanoseconds.cast_unsigned() }
}

fn attr(meta: &Metadata) -> Attr {
    Attr {
        valid: flags::getattr::BASIC,
        qid: qid(meta),
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        nlink: meta.nlink(),
        rdev: meta.rdev(),
        size: meta.size(),
        blksize: meta.blksize(),
        blocks: meta.blocks(),
        atime: time(meta.atime(), meta.atime_nsec()),
        mtime: time(meta.mtime(), meta.mtime_nsec()),
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        ..Attr::default()
    }
}

/// Makes a `'static` reply of borrowed bytes: tests may leak a little.
fn leak(bytes: Vec<u8>) -> &'static [u8] {
    bytes.leak()
}

impl Host {
    pub fn new(root: &Path, style: Style) -> Self {
        Self { root: root.to_path_buf(), style, fids: HashMap::new(), xattrs: HashMap::new() }
    }

    /// Fids that the client holds.
    pub fn fids(&self) -> usize {
        self.fids.len()
    }

    /// One message in, one message out.
    pub fn answer(&mut self, message: &[u8]) -> Vec<u8> {
        let (tag, request) = Request::parse(message).expect("the client writes legal messages");
        let reply = self.serve(request).unwrap_or_else(|ecode| Reply::Lerror { ecode });
        let mut bytes = vec![0; 2 << 20];
        let len = reply.emit(tag, &mut bytes).unwrap();
        bytes.truncate(len);
        bytes
    }

    fn fid(&self, fid: u32) -> Result<&Fid, u32> {
        self.fids.get(&fid).ok_or(ENOENT)
    }

    fn path(&self, fid: u32) -> Result<PathBuf, u32> {
        Ok(self.fid(fid)?.path.clone())
    }

    fn child(&self, dfid: u32, name: &[u8]) -> Result<PathBuf, u32> {
        Ok(self.path(dfid)?.join(OsStr::from_bytes(name)))
    }

    fn meta(&self, path: &Path) -> Result<Metadata, u32> {
        fs::symlink_metadata(path).map_err(number)
    }

    fn bind(&mut self, fid: u32, path: PathBuf, open: Open) -> Result<(), u32> {
        if self.fids.contains_key(&fid) {
            return Err(EINVAL);
        }
        self.fids.insert(fid, Fid { path, open });
        Ok(())
    }

    fn serve(&mut self, request: Request<'_>) -> Answer {
        match request {
            Request::Version { msize, .. } => {
                self.fids.clear();
                Ok(Reply::Version { msize: msize.min(self.style.msize), version: VERSION })
            }
            Request::Attach { fid, .. } => {
                self.bind(fid, self.root.clone(), Open::No)?;
                Ok(Reply::Attach { qid: qid(&self.meta(&self.root)?) })
            }
            Request::Walk { fid, newfid, names } => self.walk(fid, newfid, names.iter().collect()),
            Request::Lopen { fid, flags } => self.open(fid, flags),
            Request::Lcreate { fid, name, flags, mode, .. } => self.create(fid, name, flags, mode),
            Request::Clunk { fid } => self.clunk(fid),
            Request::Read { fid, offset, count } => self.read(fid, offset, count),
            Request::Write { fid, offset, data } => self.write(fid, offset, data.0),
            Request::Readdir { fid, offset, count } => self.readdir(fid, offset, count),
            Request::Getattr { fid, .. } => Ok(Reply::Getattr { attr: attr(&self.meta(&self.path(fid)?)?) }),
            Request::Setattr { fid, attr } => self.setattr(fid, attr),
            Request::Statfs { fid } => self.statfs(fid),
            Request::Fsync { fid, .. } => match &self.fid(fid)?.open {
                Open::File(file) => file.sync_all().map(|()| Reply::Fsync {}).map_err(number),
                Open::Directory(_) => Ok(Reply::Fsync {}),
                _ => Err(EBADF),
            },
            Request::Xattrwalk { fid, newfid, name } => self.xattrwalk(fid, newfid, name),
            Request::Xattrcreate { fid, name, size, flags } => {
                let open = Open::XattrWrite { name: name.to_vec(), value: vec![], size: size as usize, flags };
                self.fids.get_mut(&fid).ok_or(ENOENT)?.open = open;
                Ok(Reply::Xattrcreate {})
            }
            other => self.change_names(other),
        }
    }

    fn change_names(&mut self, request: Request<'_>) -> Answer {
        match request {
            Request::Mkdir { dfid, name, mode, .. } => {
                let path = self.child(dfid, name)?;
                fs::create_dir(&path).map_err(number)?;
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(number)?;
                Ok(Reply::Mkdir { qid: qid(&self.meta(&path)?) })
            }
            Request::Symlink { dfid, name, target, .. } => {
                let path = self.child(dfid, name)?;
                std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).map_err(number)?;
                Ok(Reply::Symlink { qid: qid(&self.meta(&path)?) })
            }
            Request::Mknod { dfid, name, mode, .. } => {
                let path = self.child(dfid, name)?;
                let kind = rustix::fs::FileType::from_raw_mode(mode);
                let mode = rustix::fs::Mode::from_raw_mode(mode);
                rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).map_err(|error| number(error.into()))?;
                Ok(Reply::Mknod { qid: qid(&self.meta(&path)?) })
            }
            Request::Link { dfid, fid, name } => {
                fs::hard_link(self.path(fid)?, self.child(dfid, name)?).map_err(number)?;
                Ok(Reply::Link {})
            }
            Request::Unlinkat { dfid, name, flags } => {
                let path = self.child(dfid, name)?;
                let directory = flags & flags::unlink::REMOVEDIR != 0;
                if directory { fs::remove_dir(path) } else { fs::remove_file(path) }.map_err(number)?;
                Ok(Reply::Unlinkat {})
            }
            Request::Renameat { old_dfid, old_name, new_dfid, new_name } => {
                let (from, to) = (self.child(old_dfid, old_name)?, self.child(new_dfid, new_name)?);
                fs::rename(&from, &to).map_err(number)?;
                for fid in self.fids.values_mut() {
                    if let Ok(rest) = fid.path.strip_prefix(&from) {
                        fid.path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                    }
                }
                Ok(Reply::Renameat {})
            }
            Request::Readlink { fid } => {
                let target = fs::read_link(self.path(fid)?).map_err(number)?;
                Ok(Reply::Readlink { target: leak(target.as_os_str().as_bytes().to_vec()) })
            }
            other => panic!("the server has no use for {other:?}"),
        }
    }

    fn walk(&mut self, fid: u32, newfid: u32, names: Vec<&[u8]>) -> Answer {
        let mut path = self.path(fid)?;
        let mut qids = vec![];
        if names.is_empty() {
            self.meta(&path)?;
        }
        for name in &names {
            // Like QEMU, links on the way are not followed.
            let meta = match self.meta(&path) {
                Ok(meta) if meta.is_dir() => self.meta(&path.join(OsStr::from_bytes(name))),
                Ok(_) => Err(20),
                Err(error) => Err(error),
            };
            match meta {
                Ok(meta) => qids.push(qid(&meta)),
                Err(_) if !qids.is_empty() && self.style.partial_walks => break,
                Err(error) => return Err(error),
            }
            path.push(OsStr::from_bytes(name));
        }
        if qids.len() == names.len() {
            self.bind(newfid, path, Open::No)?;
        }
        Ok(Reply::Walk { qids: Qids::new(qids.leak()) })
    }

    fn options(flags: u32) -> OpenOptions {
        let mut options = OpenOptions::new();
        let access = flags & flags::open::ACCESS;
        options.read(access != flags::open::WRONLY).write(access != flags::open::RDONLY);
        options.custom_flags((flags & !flags::open::ACCESS).cast_signed());
        options
    }

    fn open(&mut self, fid: u32, flags: u32) -> Answer {
        let entry = self.fid(fid)?;
        assert!(matches!(entry.open, Open::No), "QEMU aborts when an open fid is opened");
        let meta = self.meta(&entry.path)?;
        let open = if meta.is_dir() {
            if flags & flags::open::ACCESS != flags::open::RDONLY {
                return Err(21);
            }
            Open::Directory(self.snapshot(&entry.path)?)
        } else {
            Open::File(Self::options(flags).open(&entry.path).map_err(number)?)
        };
        self.fids.get_mut(&fid).ok_or(ENOENT)?.open = open;
        Ok(Reply::Lopen { qid: qid(&meta), iounit: 0 })
    }

    fn snapshot(&self, path: &Path) -> Result<Vec<(Vec<u8>, Qid, u8)>, u32> {
        let meta = self.meta(path)?;
        let mut entries = vec![(b".".to_vec(), qid(&meta), 4), (b"..".to_vec(), qid(&meta), 4)];
        for entry in fs::read_dir(path).map_err(number)? {
            let entry = entry.map_err(number)?;
            let Ok(meta) = entry.metadata() else { continue };
            let kind = if meta.file_type().is_fifo() { 1 } else { (meta.mode() >> 12) as u8 };
            entries.push((entry.file_name().as_bytes().to_vec(), qid(&meta), kind));
        }
        Ok(entries)
    }

    fn create(&mut self, fid: u32, name: &[u8], flags: u32, mode: u32) -> Answer {
        let path = self.child(fid, name)?;
        assert!(matches!(self.fid(fid)?.open, Open::No), "hosts refuse to create from an open fid");
        let mut options = Self::options(flags & !(flags::open::CREATE | flags::open::EXCL));
        let file = options.write(true).create_new(true).mode(mode).open(&path).map_err(number)?;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(number)?;
        let qid = qid(&file.metadata().map_err(number)?);
        self.fids.insert(fid, Fid { path, open: Open::File(file) });
        Ok(Reply::Lcreate { qid, iounit: 0 })
    }

    fn read(&mut self, fid: u32, offset: u64, count: u32) -> Answer {
        let mut data = vec![0; (count as usize).min(self.style.read_limit)];
        match &self.fid(fid)?.open {
            Open::File(file) => {
                let len = file.read_at(&mut data, offset).map_err(number)?;
                data.truncate(len);
            }
            Open::XattrRead(value) => {
                data = value.iter().skip(offset as usize).take(data.len()).copied().collect();
            }
            _ => return Err(EINVAL),
        }
        Ok(Reply::Read { data: Data(leak(data)) })
    }

    fn write(&mut self, fid: u32, offset: u64, data: &[u8]) -> Answer {
        match &mut self.fids.get_mut(&fid).ok_or(ENOENT)?.open {
            Open::File(file) => file.write_all_at(data, offset).map_err(number)?,
            Open::XattrWrite { value, .. } => {
                assert_eq!(value.len() as u64, offset);
                value.extend(data);
            }
            _ => return Err(EINVAL),
        }
        Ok(Reply::Write { count: data.len() as u32 })
    }

    fn readdir(&mut self, fid: u32, offset: u64, count: u32) -> Answer {
        let path = self.path(fid)?;
        if offset == 0 {
            let fresh = self.snapshot(&path)?;
            let open = &mut self.fids.get_mut(&fid).ok_or(ENOENT)?.open;
            if !matches!(open, Open::Directory(_)) {
                return Err(EINVAL);
            }
            *open = Open::Directory(fresh);
        }
        let Open::Directory(entries) = &self.fid(fid)?.open else { return Err(EINVAL) };
        let mut bytes = vec![0; count as usize];
        let mut writer = DirWriter::new(&mut bytes);
        for (index, (name, qid, kind)) in entries.iter().enumerate().skip(offset as usize) {
            let entry = DirEntry { qid: *qid, offset: index as u64 + 1, kind: *kind, name };
            if writer.push(&entry).is_err() {
                break;
            }
        }
        let len = writer.len();
        bytes.truncate(len);
        Ok(Reply::Readdir { data: Data(leak(bytes)) })
    }

    fn setattr(&mut self, fid: u32, attr: SetAttr) -> Answer {
        let path = self.path(fid)?;
        if attr.valid & flags::setattr::MODE != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(attr.mode)).map_err(number)?;
        }
        if attr.valid & (flags::setattr::UID | flags::setattr::GID) != 0 {
            let pick = |flag, id| (attr.valid & flag != 0).then_some(id);
            let (uid, gid) = (pick(flags::setattr::UID, attr.uid), pick(flags::setattr::GID, attr.gid));
            std::os::unix::fs::lchown(&path, uid, gid).map_err(number)?;
        }
        if attr.valid & flags::setattr::SIZE != 0 {
            OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(attr.size)).map_err(number)?;
        }
        let stamp = |touched, given, time: Time| match attr.valid & (touched | given) {
            0 => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT },
            bits if bits & given == 0 => rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
            _ => rustix::fs::Timespec { tv_sec: time.seconds.cast_signed(), tv_nsec: time.nanoseconds.cast_signed() },
        };
        let times = rustix::fs::Timestamps {
            last_access: stamp(flags::setattr::ATIME, flags::setattr::ATIME_SET, attr.atime),
            last_modification: stamp(flags::setattr::MTIME, flags::setattr::MTIME_SET, attr.mtime),
        };
        let nofollow = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, &path, &times, nofollow).map_err(|error| number(error.into()))?;
        Ok(Reply::Setattr {})
    }

    fn statfs(&self, fid: u32) -> Answer {
        let stat = rustix::fs::statvfs(&self.path(fid)?).map_err(|error| number(error.into()))?;
        let stat = StatFs {
            kind: 0x0102_1997,
            bsize: stat.f_bsize as u32,
            blocks: stat.f_blocks,
            bfree: stat.f_bfree,
            bavail: stat.f_bavail,
            files: stat.f_files,
            ffree: stat.f_ffree,
            fsid: stat.f_fsid,
            namelen: stat.f_namemax as u32,
        };
        Ok(Reply::Statfs { stat })
    }

    fn xattrwalk(&mut self, fid: u32, newfid: u32, name: &[u8]) -> Answer {
        let path = self.path(fid)?;
        let all = self.xattrs.entry(self.meta(&path)?.ino()).or_default();
        let value = match name {
            b"" => all.keys().flat_map(|name| name.iter().copied().chain([0])).collect(),
            name => all.get(name).cloned().ok_or(ENODATA)?,
        };
        let size = value.len() as u64;
        self.bind(newfid, path, Open::XattrRead(value))?;
        Ok(Reply::Xattrwalk { size })
    }

    fn clunk(&mut self, fid: u32) -> Answer {
        let fid = self.fids.remove(&fid).ok_or(ENOENT)?;
        if let Open::XattrWrite { name, value, size, flags } = fid.open {
            let all = self.xattrs.entry(self.meta(&fid.path)?.ino()).or_default();
            match (value.len() == size, flags, all.contains_key(&name)) {
                (false, ..) => return Err(EINVAL),
                (_, 1, true) => return Err(17),
                (_, 2, false) => return Err(ENODATA),
                _ if size == 0 => drop(all.remove(&name)),
                _ => drop(all.insert(name, value)),
            }
        }
        Ok(Reply::Clunk {})
    }
}
