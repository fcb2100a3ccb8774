//! HTTP/1.1, as much as a file server needs (RFC 9112): request heads, percent-decoding, answers of known length.

use std::fs::File;
use std::io::{self, BufRead, Read, Write};

/// Longest request head, in bytes.
const HEAD_BYTES: u64 = 16 * 1024;

/// Bytes of a file sent at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// What a request wants to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Head and body (GET).
    Everything,
    /// The head alone (HEAD).
    Head,
    /// Something that a file server does not do.
    Other,
}

impl Wanted {
    /// Joins it with what happens afterwards.
    pub fn then(self, after: After) -> (Wanted, After) {
        (self, after)
    }
}

/// What happens to the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It waits for the next request.
    Keep,
    /// It is closed.
    Close,
}

/// A request, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// GET, HEAD, or something else.
    pub method: Wanted,
    /// The path as bytes, percent-decoded, without the query.
    pub path: Vec<u8>,
    /// Whether the client will ask again.
    pub after: After,
}

/// Why there is no request.
#[derive(Debug, PartialEq, Eq)]
pub enum Bad {
    /// The client closed the connection or said nothing for too long.
    Gone,
    /// It sent something that is no HTTP request.
    Request,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// A page made here.
    Page(Vec<u8>),
    /// A file, of which so many bytes are sent.
    File(File, u64),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Media type of the body.
    pub content_type: &'static str,
    /// Where to go instead, for redirections.
    pub location: Option<String>,
    /// The body.
    pub body: Body,
}

/// Reads one request head.
pub fn read_request(reader: &mut impl BufRead) -> Result<Request, Bad> {
    let mut head = reader.take(HEAD_BYTES);
    let first = read_line(&mut head)?;
    let mut words = first.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Bad::Request);
    };
    let mut after = if version == b"HTTP/1.1" { After::Keep } else { After::Close };
    loop {
        let line = read_line(&mut head)?.to_ascii_lowercase();
        match line.as_slice() {
            [] => break,
            line if line.starts_with(b"connection:") && contains(line, b"close") => after = After::Close,
            line if line.starts_with(b"connection:") && contains(line, b"keep-alive") => after = After::Keep,
            // A body would have to be read before the next request; nothing that is served here takes one.
            line if line.starts_with(b"content-length:") && !line.ends_with(b" 0") => after = After::Close,
            line if line.starts_with(b"transfer-encoding:") => after = After::Close,
            _ => {}
        }
    }
    let method = match method {
        b"GET" => Wanted::Everything,
        b"HEAD" => Wanted::Head,
        _ => Wanted::Other,
    };
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    Ok(Request { method, path: percent_decode(path).ok_or(Bad::Request)?, after })
}

/// One line of the head without its end.
fn read_line(reader: &mut impl BufRead) -> Result<Vec<u8>, Bad> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).map_err(|_| Bad::Gone)?;
    match line.pop() {
        Some(b'\n') => {}
        Some(_) => return Err(Bad::Request),
        None => return Err(Bad::Gone),
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

fn contains(line: &[u8], word: &[u8]) -> bool {
    line.windows(word.len()).any(|window| window == word)
}

/// Turns `%20` into a blank; `None` if a percent sign is not followed by two hexadecimal digits.
pub fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: Option<&u8>| (*byte? as char).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => (digit(rest.next())? * 16 + digit(rest.next())?) as u8,
            byte => *byte,
        });
    }
    Some(decoded)
}

/// The reverse: everything but letters, digits and `-_.~/` is escaped.
pub fn percent_encode(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let encoded = bytes.iter().map(|byte| match plain(*byte) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// Sends an answer. Errors: those of the connection.
pub fn write_answer(mut stream: impl Write, answer: Answer, (wanted, after): (Wanted, After)) -> io::Result<()> {
    let length = match &answer.body {
        Body::Page(page) => page.len() as u64,
        Body::File(_, length) => *length,
    };
    let connection = if after == After::Keep { "keep-alive" } else { "close" };
    let location = answer.location.map(|place| format!("Location: {place}\r\n")).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {length}\r\n{location}Cache-Control: no-cache\r\n\
         Connection: {connection}\r\n\r\n",
        answer.status,
        reason(answer.status),
        answer.content_type,
    );
    match (answer.body, wanted) {
        (_, Wanted::Head) => stream.write_all(head.as_bytes()),
        // Head and page go out together, in one segment where they fit.
        (Body::Page(page), _) => stream.write_all(&[head.as_bytes(), page.as_slice()].concat()),
        (Body::File(file, length), _) => send_file(stream, head.into_bytes(), file, length),
    }
}

/// Sends `head` and exactly `length` bytes of the file; one that became shorter meanwhile breaks the connection,
/// because the promised length cannot be kept.
fn send_file(mut stream: impl Write, mut head: Vec<u8>, mut file: File, length: u64) -> io::Result<()> {
    let mut left = length;
    let mut chunk = vec![0; CHUNK_BYTES];
    while left > 0 {
        let room = usize::try_from(left).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let count = file.read(chunk.get_mut(..room).unwrap_or_default())?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(chunk.get(..count).unwrap_or_default());
        stream.write_all(&head)?;
        head.clear();
        left -= count as u64;
    }
    stream.write_all(&head)
}

/// The words that go with a status code.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        301 => "Moved Permanently",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_up_to_its_blank_line() {
        let mut bytes = &b"GET /a%20b?x HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.0\r\n\r\n"[..];
        let first = read_request(&mut bytes).unwrap();
        assert_eq!(first, Request { method: Wanted::Everything, path: b"/a b".to_vec(), after: After::Keep });
        assert_eq!(read_request(&mut bytes).unwrap().after, After::Close);
        assert_eq!(read_request(&mut bytes), Err(Bad::Gone));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in ["nonsense\r\n\r\n", "GET /%zz HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 x\r\n\r\n", "GET"] {
            assert_eq!(read_request(&mut text.as_bytes()), Err(Bad::Request), "{text}");
        }
    }

    #[test]
    fn names_survive_the_way_through_a_link() {
        let name = "ä b%&.txt".as_bytes();
        assert_eq!(percent_decode(percent_encode(name).as_bytes()).unwrap(), name);
    }

    #[test]
    fn a_head_request_gets_the_length_without_the_body() {
        let answer =
            Answer { status: 200, content_type: "text/plain", location: None, body: Body::Page(b"12345".to_vec()) };
        let mut sent = Vec::new();
        write_answer(&mut sent, answer, (Wanted::Head, After::Close)).unwrap();
        let text = String::from_utf8(sent).unwrap();
        assert!(text.contains("Content-Length: 5\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }
}
