//! Where `ld.so` looks: `/etc/ld.so.conf` with its includes, the default folders, and `$ORIGIN` in run paths.
//!
//! Facts: ld.so(8), ldconfig(8), glibc `elf/dl-load.c`; musl `ldso/dynlink.c`. Nothing is executed, and
//! `LD_LIBRARY_PATH` plays no part: the image must not depend on the shell it was made from.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that glibc's loader knows without being told: Debian's multiarch names first, then those of others.
const GLIBC_FOLDERS: [&str; 6] =
    ["/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// Folders that musl's loader searches when `/etc/ld-musl-x86_64.path` does not say otherwise.
const MUSL_FOLDERS: [&str; 3] = ["/lib", "/usr/local/lib", "/usr/lib"];

/// What `$LIB` stands for, on Debian and elsewhere.
const LIB_NAMES: [&str; 2] = ["lib/x86_64-linux-gnu", "lib64"];

/// Deepest nesting of configuration files, so that includes in a circle end.
const INCLUDES_MAX: usize = 8;

/// The two families of program interpreters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// `ld-linux-x86-64.so.2`.
    Glibc,
    /// `ld-musl-x86_64.so.1`.
    Musl,
}

impl Loader {
    /// Tells them apart by the interpreter's name.
    pub fn of(interpreter: &str) -> Loader {
        match interpreter.rsplit('/').next() {
            Some(name) if name.starts_with("ld-musl-") => Loader::Musl,
            _ => Loader::Glibc,
        }
    }

    /// Whether the interpreter itself takes the place of the library `name`.
    pub fn provides(self, name: &str) -> bool {
        const MUSL: [&str; 8] = ["c", "pthread", "rt", "m", "dl", "util", "xnet", "crypt"];
        let Some(stem) = name.strip_prefix("lib") else { return false };
        self == Loader::Musl && (stem.starts_with("c.musl-") || MUSL.iter().any(|short| is_named(stem, short)))
    }

    /// System folders in search order, as absolute guest paths; `root` is where `/` of that system lies on the host.
    pub fn folders(self, root: &Path) -> Vec<PathBuf> {
        let mut folders = match self {
            Loader::Glibc => configured(root),
            Loader::Musl => musl_path(root),
        };
        let defaults: &[&str] = match self {
            Loader::Glibc => &GLIBC_FOLDERS,
            Loader::Musl if folders.is_empty() => &MUSL_FOLDERS,
            Loader::Musl => &[],
        };
        for folder in defaults.iter().map(PathBuf::from) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }
}

/// Whether `stem` is `short.so` or `short.so.N`.
fn is_named(stem: &str, short: &str) -> bool {
    stem.strip_prefix(short).is_some_and(|rest| rest == ".so" || rest.starts_with(".so."))
}

/// Expands `$ORIGIN`, `$LIB` and `$PLATFORM` in one entry of a run path; `origin` is the folder of its file.
///
/// `$LIB` has two meanings in the field, so up to two folders come back.
pub fn expand(entry: &str, origin: &str) -> Vec<String> {
    let entry = replace_token(entry, "ORIGIN", origin);
    let entry = replace_token(&entry, "PLATFORM", "x86_64");
    let mut folders: Vec<String> = LIB_NAMES.iter().map(|lib| replace_token(&entry, "LIB", lib)).collect();
    folders.dedup();
    folders
}

/// Replaces `$NAME` and `${NAME}`.
fn replace_token(text: &str, name: &str, value: &str) -> String {
    text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
}

/// Folders of `/etc/ld.so.conf` and the files that it includes, in order, each once.
fn configured(root: &Path) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    read_configuration(root, Path::new("/etc/ld.so.conf"), 0, &mut folders);
    folders
}

/// Adds the folders named in `file`; an unreadable file adds none, as for ldconfig(8).
fn read_configuration(root: &Path, file: &Path, depth: usize, folders: &mut Vec<PathBuf>) {
    let Ok(text) = fs::read_to_string(on_host(root, file)) else { return };
    for line in text.lines().map(without_comment) {
        match line.strip_prefix("include").filter(|rest| rest.starts_with([' ', '\t'])) {
            Some(_) if depth == INCLUDES_MAX => {}
            Some(patterns) => {
                let included = patterns.split_whitespace().flat_map(|pattern| matching(root, file, pattern));
                included.for_each(|file| read_configuration(root, &file, depth + 1, folders));
            }
            None if line.starts_with('/') => push_once(folders, PathBuf::from(line)),
            None => {}
        }
    }
}

/// Folders of musl's path file, which are separated by colons or line ends.
fn musl_path(root: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(on_host(root, Path::new("/etc/ld-musl-x86_64.path"))).unwrap_or_default();
    text.split([':', '\n']).filter(|folder| folder.starts_with('/')).map(PathBuf::from).collect()
}

fn push_once(folders: &mut Vec<PathBuf>, folder: PathBuf) {
    if !folders.contains(&folder) {
        folders.push(folder);
    }
}

fn without_comment(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// Where an absolute path of the searched system lies on the host.
pub fn on_host(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The files that `pattern` of an `include` in `file` stands for, sorted; wildcards are allowed in the last component.
fn matching(root: &Path, file: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern = file.parent().unwrap_or(Path::new("/")).join(pattern);
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(on_host(root, folder)) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut files: Vec<PathBuf> =
        names.filter(|entry| fits(name.as_bytes(), entry.as_bytes())).map(|entry| folder.join(entry)).collect();
    files.sort();
    files
}

/// Whether `name` fits a pattern of `*` and `?`; as in glob(7), a leading dot must be written out.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let hidden = name.first() == Some(&b'.') && pattern.first() != Some(&b'.');
    !hidden && fits_rest(pattern, name)
}

fn fits_rest(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=name.len()).any(|skip| fits_rest(rest, name.get(skip..).unwrap_or_default())),
        ([b'?', pattern @ ..], [_, name @ ..]) => fits_rest(pattern, name),
        ([expected, pattern @ ..], [byte, name @ ..]) if expected == byte => fits_rest(pattern, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let file = on_host(root, Path::new(path));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    #[test]
    fn includes_are_read_where_they_stand_and_defaults_come_last() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "/etc/ld.so.conf", "/first # why\ninclude /etc/ld.so.conf.d/*.conf\n\n/last\n");
        write(root.path(), "/etc/ld.so.conf.d/b.conf", "/b\n/lib64\n");
        write(root.path(), "/etc/ld.so.conf.d/a.conf", "/a\ninclude more.d/?.conf");
        write(root.path(), "/etc/ld.so.conf.d/more.d/x.conf", "/x");
        write(root.path(), "/etc/ld.so.conf.d/ignored", "/ignored");
        let folders = Loader::Glibc.folders(root.path());
        let named: Vec<&str> = folders.iter().filter_map(|folder| folder.to_str()).collect();
        assert_eq!(named[..6], ["/first", "/a", "/x", "/b", "/lib64", "/last"]);
        assert_eq!(named.iter().filter(|folder| **folder == "/lib64").count(), 1);
        assert_eq!(named.last(), Some(&"/usr/lib"));
    }

    #[test]
    fn includes_in_a_circle_end() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "/etc/ld.so.conf", "/here\ninclude ld.so.conf");
        assert_eq!(Loader::Glibc.folders(root.path())[0], PathBuf::from("/here"));
    }

    #[test]
    fn a_run_path_knows_its_origin_and_both_meanings_of_lib() {
        assert_eq!(expand("$ORIGIN/../lib", "/opt/app"), ["/opt/app/../lib"]);
        assert_eq!(expand("${ORIGIN}/$LIB", "/a"), ["/a/lib/x86_64-linux-gnu", "/a/lib64"]);
    }

    #[test]
    fn musl_stands_for_its_own_libraries() {
        let loader = Loader::of("/lib/ld-musl-x86_64.so.1");
        assert_eq!(loader, Loader::Musl);
        assert!(loader.provides("libc.so") && loader.provides("libc.musl-x86_64.so.1") && loader.provides("libm.so.6"));
        assert!(!loader.provides("libmagic.so.1"));
        assert!(!Loader::Glibc.provides("libc.so.6"));
    }
}
