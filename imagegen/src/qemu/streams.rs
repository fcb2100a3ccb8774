//! The byte streams of a running machine: one Unix socket each, in a private folder, byte for byte.
//!
//! We listen and QEMU connects, so every socket is ready before the guest runs. The end of a stream is the end of
//! QEMU. A thread per stream copies; memory stays bounded because a slow reader of ours makes the guest wait.

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::{env, fs::File};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// Longest path of a folder whose sockets still fit `sockaddr_un`, in bytes.
const FOLDER_BYTES: usize = 80;

/// Bytes copied at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Something that bytes of the guest are written to.
pub type Output = Box<dyn Write + Send>;

/// Where the program's standard input comes from.
pub enum Input {
    /// Our own standard input.
    Inherit,
    /// These bytes, then the end.
    Bytes(Vec<u8>),
}

/// Where the machine's streams go and come from.
pub struct Streams {
    /// The program's standard input.
    pub stdin: Input,
    /// The program's standard output.
    pub stdout: Output,
    /// The program's standard error.
    pub stderr: Output,
    /// Skiff's own log.
    pub log: Output,
    /// The UART: boot errors and crash reports.
    pub uart: Output,
}

impl Streams {
    /// Our own streams; log and UART join stderr. Errors: [`Error::Host`] if they are closed.
    pub fn inherit() -> Result<Streams> {
        let stderr = || Ok(Box::new(duplicate(io::stderr(), "/dev/stderr")?) as Output);
        Ok(Streams {
            stdin: Input::Inherit,
            stdout: Box::new(duplicate(io::stdout(), "/dev/stdout")?),
            stderr: stderr()?,
            log: stderr()?,
            uart: stderr()?,
        })
    }
}

/// A second handle on one of our own streams, without the standard library's buffer before it.
fn duplicate(stream: impl AsFd, name: &'static str) -> Result<File> {
    let copy = stream.as_fd().try_clone_to_owned();
    copy.map(File::from).map_err(|why| Error::host("use", Path::new(name), why))
}

/// A folder that only we can enter, removed when dropped.
///
/// A long `TMPDIR` is passed over for `/tmp`, since socket paths are short.
pub fn private_folder() -> Result<TempDir> {
    let parent = Some(env::temp_dir()).filter(|folder| folder.as_os_str().len() <= FOLDER_BYTES);
    let parent = parent.unwrap_or_else(|| PathBuf::from("/tmp"));
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("skiff-").permissions(Permissions::from_mode(0o700));
    builder.tempdir_in(&parent).map_err(|why| Error::host("make a folder in", &parent, why))
}

/// A socket that QEMU will connect to.
pub struct Endpoint {
    listener: UnixListener,
    path: PathBuf,
}

impl Endpoint {
    /// Listens on `name` in `folder`.
    pub fn listen(folder: &Path, name: &str) -> Result<Endpoint> {
        let path = folder.join(name);
        let listener = UnixListener::bind(&path).map_err(|why| Error::host("listen on", &path, why))?;
        Ok(Endpoint { listener, path })
    }

    /// Serves the connection in a thread of its own.
    pub fn serve(self, work: impl FnOnce(UnixStream) + Send + 'static) -> Served {
        let Endpoint { listener, path } = self;
        let thread = thread::spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                work(stream);
            }
        });
        Served { thread, path }
    }
}

/// A stream being served.
pub struct Served {
    thread: JoinHandle<()>,
    path: PathBuf,
}

impl Served {
    /// Waits until everything was copied. QEMU must have ended.
    ///
    /// If it never connected, a connection of our own lets the thread see the end.
    pub fn finish(self) {
        drop(UnixStream::connect(&self.path));
        // A panic of the copying thread was reported on stderr already, and the streams of the others still count.
        let _ = self.thread.join();
        let _ = fs::remove_file(&self.path);
    }
}

/// Copies from the guest to `output` until the guest ends.
///
/// When `output` cannot take any more (a closed pipe), the rest is read and dropped: the program must not hang on it.
pub fn copy_out(mut stream: UnixStream, mut output: Output) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut usable = true;
    while let Ok(len @ 1..) = stream.read(&mut chunk) {
        let bytes = chunk.get(..len).unwrap_or_default();
        usable = usable && output.write_all(bytes).and_then(|()| output.flush()).is_ok();
    }
}

/// Copies `input` to the guest and ends the stream; `stream` stays open for reading, so that QEMU loses nothing.
pub fn copy_in(mut stream: UnixStream, input: Input) {
    let copied = match input {
        Input::Bytes(bytes) => stream.write_all(&bytes),
        Input::Inherit => io::copy(&mut io::stdin().lock(), &mut stream).map(|_| ()),
    };
    // A guest that does not read its input is no error of ours.
    if copied.is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
        let _ = io::copy(&mut stream, &mut io::sink());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Collector(mpsc::Sender<Vec<u8>>);

    impl Write for Collector {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn bytes_arrive_unchanged_and_a_missing_peer_does_not_hang_the_end() {
        let folder = private_folder().unwrap();
        let (sender, receiver) = mpsc::channel();
        let out = Endpoint::listen(folder.path(), "out").unwrap();
        let served = out.serve(move |stream| copy_out(stream, Box::new(Collector(sender))));
        let mut guest = UnixStream::connect(folder.path().join("out")).unwrap();
        guest.write_all(b"\0\xff\r\n").unwrap();
        drop(guest);
        served.finish();
        assert_eq!(receiver.iter().flatten().collect::<Vec<_>>(), b"\0\xff\r\n");
        let never =
            Endpoint::listen(folder.path(), "never").unwrap().serve(|stream| copy_out(stream, Box::new(io::sink())));
        never.finish();
    }

    #[test]
    fn the_end_of_the_input_reaches_the_guest() {
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let thread = thread::spawn(move || copy_in(ours, Input::Bytes(b"line\n".to_vec())));
        let mut text = String::new();
        guest.read_to_string(&mut text).unwrap();
        drop(guest);
        thread.join().unwrap();
        assert_eq!(text, "line\n");
    }

    #[test]
    fn a_closed_output_does_not_stop_the_reading() {
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let (sender, receiver) = mpsc::channel();
        drop(receiver);
        let thread = thread::spawn(move || copy_out(ours, Box::new(Collector(sender))));
        guest.write_all(&vec![1; 1 << 20]).unwrap();
        drop(guest);
        thread.join().unwrap();
    }

    #[test]
    fn nobody_else_may_enter_the_folder() {
        let folder = private_folder().unwrap();
        assert_eq!(folder.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
