//! A small HTTP/1.1 client: a request, its answer, everything in memory.
//!
//! [`get`] opens a connection for each request, a [`Session`] keeps one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longest wait for one read or write.
const IO_LIMIT: Duration = Duration::from_secs(30);

/// Pause between two attempts to reach a server that is still starting.
const RETRY_STEP: Duration = Duration::from_millis(20);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Gets `path` from a server on a local port. Errors: those of the connection, `InvalidData` for a bad answer.
pub fn get(port: u16, path: &str) -> io::Result<Answer> {
    request(port, "GET", path)
}

/// Like [`get`], again and again until the server answers at all or `limit` is over.
pub fn get_when_up(port: u16, path: &str, limit: Duration) -> io::Result<Answer> {
    let started = Instant::now();
    loop {
        match get(port, path) {
            Err(_) if started.elapsed() < limit => std::thread::sleep(RETRY_STEP),
            result => return result,
        }
    }
}

/// Sends one request and reads the whole answer.
pub fn request(port: u16, method: &str, path: &str) -> io::Result<Answer> {
    Session::open(port)?.ask(method, path, "close")
}

/// One connection for several requests.
pub struct Session {
    port: u16,
    stream: BufReader<TcpStream>,
}

impl Session {
    /// Connects to a local port. Errors: those of the connection.
    pub fn open(port: u16) -> io::Result<Session> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, IO_LIMIT)?;
        stream.set_read_timeout(Some(IO_LIMIT))?;
        stream.set_write_timeout(Some(IO_LIMIT))?;
        Ok(Session { port, stream: BufReader::new(stream) })
    }

    /// Gets `path`; the connection stays. Errors: those of [`get`], also when the server closed the connection.
    pub fn get(&mut self, path: &str) -> io::Result<Answer> {
        self.ask("GET", path, "keep-alive")
    }

    fn ask(&mut self, method: &str, path: &str, connection: &str) -> io::Result<Answer> {
        let host = self.port;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{host}\r\nConnection: {connection}\r\n\r\n");
        self.stream.get_mut().write_all(head.as_bytes())?;
        read_answer(&mut self.stream, method == "HEAD")
    }
}

/// A path as it stands in a request: every byte but letters, digits and `-._~/` becomes `%XX` (RFC 3986).
pub fn percent_encode(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn read_answer(mut reader: impl BufRead, head_only: bool) -> io::Result<Answer> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer");
    let status = read_line(&mut reader)?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(bad)?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut reader)?;
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
            None if line.is_empty() => break,
            None => return Err(bad()),
        }
    }
    let mut answer = Answer { status, headers, body: Vec::new() };
    if head_only {
        return Ok(answer);
    }
    let length: Option<u64> = answer.header("content-length").and_then(|length| length.parse().ok());
    if answer.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        read_chunks(&mut reader, &mut answer.body)?;
    } else if let Some(length) = length {
        reader.take(length).read_to_end(&mut answer.body)?;
        if answer.body.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    } else {
        reader.read_to_end(&mut answer.body)?;
    }
    Ok(answer)
}

/// Reads a body of chunks (RFC 9112 section 7.1), trailers left unread.
fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let before = body.len() as u64;
        reader.by_ref().take(size).read_to_end(body)?;
        if body.len() as u64 - before != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if size == 0 {
            return Ok(());
        }
        read_line(reader)?;
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match reader.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_known_length_and_of_chunks_are_read() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabcrest";
        let answer = read_answer(&plain[..], false).unwrap();
        assert_eq!((answer.status, answer.body.as_slice(), answer.header("x")), (200, &b"abc"[..], Some("y")));
        let chunks = b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        assert_eq!(read_answer(&chunks[..], false).unwrap().body, b"abcde");
    }

    #[test]
    fn blanks_and_letters_beyond_ascii_are_encoded_in_paths() {
        assert_eq!(percent_encode("/a b/ä%.txt"), "/a%20b/%C3%A4%25.txt");
    }

    #[test]
    fn a_body_that_ends_too_early_is_an_error() {
        let short = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
        assert!(read_answer(&short[..], false).is_err());
        assert!(read_answer(&short[..], true).is_ok());
    }
}
