//! The files behind the addresses: everything below one folder, shown under `/static/`.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::http::{Answer, Body, percent_encode, reason};

/// Address under which the folder is shown.
const PREFIX: &[u8] = b"/static/";

/// Media type of the pages made here.
const PAGE_TYPE: &str = "text/html; charset=utf-8";

/// Media types by the end of a file's name.
const TYPES: [(&str, &str); 16] = [
    ("html", PAGE_TYPE),
    ("htm", PAGE_TYPE),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("txt", "text/plain; charset=utf-8"),
    ("md", "text/plain; charset=utf-8"),
    ("json", "application/json"),
    ("xml", "text/xml; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("gif", "image/gif"),
    ("ico", "image/x-icon"),
    ("wasm", "application/wasm"),
    ("pdf", "application/pdf"),
];

/// A folder that is served.
#[derive(Debug)]
pub struct Site {
    folder: PathBuf,
}

impl Site {
    /// Serves `folder`; whether it is there is seen at each request.
    pub fn new(folder: &str) -> Site {
        Site { folder: PathBuf::from(folder) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The answer to a request for `path`.
    pub fn answer(&self, path: &[u8]) -> Answer {
        if path == b"/" || path == b"/static" {
            return redirection(PREFIX);
        }
        let Some(relative) = path.strip_prefix(PREFIX) else { return refusal(404) };
        let file = match self.locate(relative) {
            Some(file) => file,
            None => return refusal(403),
        };
        self.read(&file, path).unwrap_or_else(|why| match why.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => refusal(404),
            io::ErrorKind::PermissionDenied => refusal(403),
            _ => refusal(500),
        })
    }

    /// The file for a relative address; `None` for one that leads out of the folder or cannot be a file's name.
    fn locate(&self, relative: &[u8]) -> Option<PathBuf> {
        let names = relative.split(|byte| *byte == b'/');
        let names: Vec<&[u8]> = names.filter(|name| !name.is_empty() && *name != b".").collect();
        let forbidden = names.iter().any(|name| *name == b".." || name.contains(&0));
        (!forbidden).then(|| names.iter().fold(self.folder.clone(), |path, name| path.join(OsStr::from_bytes(name))))
    }

    fn read(&self, path: &Path, address: &[u8]) -> io::Result<Answer> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return match address.ends_with(b"/") {
                true => list(path, address),
                false => Ok(redirection(&[address, b"/"].concat())),
            };
        }
        if address.ends_with(b"/") || !about.is_file() {
            return Ok(refusal(404));
        }
        let content_type = content_type(path);
        Ok(Answer { status: 200, content_type, location: None, body: Body::File(file, about.len()) })
    }
}

/// A page with the names in a folder, folders first.
fn list(folder: &Path, address: &[u8]) -> io::Result<Answer> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_folder = fs::metadata(entry.path()).is_ok_and(|about| about.is_dir());
        entries.push((!is_folder, entry.file_name()));
    }
    entries.sort();
    let title = escape(&String::from_utf8_lossy(address));
    let mut page = format!("<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n");
    if address != PREFIX {
        page += "<li><a href=\"../\">../</a></li>\n";
    }
    for (is_file, name) in entries {
        let slash = if is_file { "" } else { "/" };
        let link = percent_encode(name.as_bytes());
        page += &format!("<li><a href=\"./{link}{slash}\">{}{slash}</a></li>\n", escape(&name.to_string_lossy()));
    }
    page += "</ul>\n";
    Ok(Answer { status: 200, content_type: PAGE_TYPE, location: None, body: Body::Page(page.into_bytes()) })
}

/// A page that says why there is nothing to see.
pub fn refusal(status: u16) -> Answer {
    let page = format!("{status} {}\n", reason(status));
    let content_type = "text/plain; charset=utf-8";
    Answer { status, content_type, location: None, body: Body::Page(page.into_bytes()) }
}

fn redirection(address: &[u8]) -> Answer {
    Answer { location: Some(percent_encode(address)), ..refusal(301) }
}

fn content_type(path: &Path) -> &'static str {
    let end = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    TYPES.iter().find(|(known, _)| *known == end).map_or("application/octet-stream", |(_, name)| name)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_cannot_leave_the_folder() {
        let site = Site::new("/srv");
        assert_eq!(site.answer(b"/static/../etc/passwd").status, 403);
        assert_eq!(site.answer(b"/etc/passwd").status, 404);
        assert_eq!(site.locate(b"a//./b"), Some(PathBuf::from("/srv/a/b")));
    }

    #[test]
    fn types_follow_the_end_of_the_name() {
        assert_eq!(content_type(Path::new("a.CSS")), "text/css; charset=utf-8");
        assert_eq!(content_type(Path::new("data")), "application/octet-stream");
    }

    #[test]
    fn names_are_shown_and_linked_safely() {
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }
}
