//! Fills the guest's root directory: the user's files, the program, its libraries, and the few files every Linux
//! program may expect.
//!
//! The order is the order of precedence. What the user gives wins over what imagegen would add, and two things that
//! the user gives must not contradict each other.

use std::collections::HashMap;
use std::fs::{self, FileType};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tfs_format::build::FileInfo;

use crate::cli::Options;
use crate::error::{Error, Result};
use crate::libraries::Library;
use crate::options::{GuestPath, HostToGuest};
use crate::program::Program;
use crate::tree::{Content, Directory, Node, Tree};

/// Directories that the front end mounts over or that programs write to.
const FOLDERS: [&str; 5] = ["/tmp", "/proc", "/dev", "/sys", "/etc"];

/// Files that Linux programs read without asking whether they are there. QEMU's user network answers DNS at 10.0.2.3.
const FILES: [(&str, &str); 4] = [
    ("/etc/passwd", "root:x:0:0:root:/:/bin/sh\n"),
    ("/etc/group", "root:x:0:\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
    ("/etc/resolv.conf", "nameserver 10.0.2.3\n"),
];

/// Longest host name of Linux (`HOST_NAME_MAX`), in bytes.
const HOST_NAME_BYTES: usize = 64;

/// The root directory of the image.
///
/// Errors: [`Error::GuestPathTaken`], [`Error::Host`], and [`Error::Option`] for missing files and folders.
pub fn assemble(options: &Options, program: &Program, libraries: &[Library]) -> Result<Tree> {
    let mut tree = Tree::default();
    for file in &options.files {
        add_user_file(&mut tree, file)?;
    }
    for folder in &options.folders {
        add_user_folder(&mut tree, folder)?;
    }
    tree.add(&program.guest, host_file(&program.host)?)?;
    add_libraries(&mut tree, libraries)?;
    for mount in &options.mounts {
        tree.add_directory(&mount.guest)?;
    }
    add_system_files(&mut tree, &host_name(options))?;
    Ok(tree)
}

/// The name of the machine: `--name`, else the program's name in the letters that a host name allows.
pub fn host_name(options: &Options) -> String {
    let file_name = options.program.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = options.name.clone().or(file_name).unwrap_or_default();
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '.';
    let name: String = name.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    let name = name.trim_matches(['-', '.']);
    match name.get(..name.len().min(HOST_NAME_BYTES)) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "skiff".to_owned(),
    }
}

fn add_user_file(tree: &mut Tree, file: &HostToGuest) -> Result<()> {
    let option = || format!("--file {}:{}", file.host.display(), file.guest);
    let about = fs::metadata(&file.host).map_err(|why| missing(option(), &file.host, &why))?;
    match about.is_file() {
        true => tree.add(&file.guest, host_file(&file.host)?),
        false => Err(Error::Option {
            option: option(),
            why: format!("{} is not a regular file", file.host.display()),
            fix: "use --dir for a folder".to_owned(),
        }),
    }
}

fn add_user_folder(tree: &mut Tree, folder: &HostToGuest) -> Result<()> {
    let option = || format!("--dir {}:{}", folder.host.display(), folder.guest);
    let about = fs::metadata(&folder.host).map_err(|why| missing(option(), &folder.host, &why))?;
    match about.is_dir() {
        true => tree.add(&folder.guest, Node::Directory(read_folder(&folder.host)?)),
        false => Err(Error::Option {
            option: option(),
            why: format!("{} is not a folder", folder.host.display()),
            fix: "use --file for a single file".to_owned(),
        }),
    }
}

fn missing(option: String, host: &Path, why: &std::io::Error) -> Error {
    Error::Option { option, why: format!("cannot open {} ({why})", host.display()), fix: "check the path".to_owned() }
}

/// Everything below a folder of the host. Links stay links; sockets, pipes and devices have no contents to copy and
/// are left out.
fn read_folder(host: &Path) -> Result<Directory> {
    let mut directory = Directory::new();
    let failed = |why| Error::host("read", host, why);
    for entry in fs::read_dir(host).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        if let Some(node) = read_node(&entry.path(), kind)? {
            directory.insert(entry.file_name().into_vec(), node);
        }
    }
    Ok(directory)
}

fn read_node(host: &Path, kind: FileType) -> Result<Option<Node>> {
    if kind.is_dir() {
        return read_folder(host).map(|entries| Some(Node::Directory(entries)));
    }
    if kind.is_symlink() {
        let target = fs::read_link(host).map_err(|why| Error::host("read", host, why))?;
        return Ok(Some(Node::Link(target.into_os_string().into_vec())));
    }
    match kind.is_file() {
        true => host_file(host).map(Some),
        false => Ok(None),
    }
}

/// A file of the host as it is now.
fn host_file(host: &Path) -> Result<Node> {
    let about = fs::metadata(host).map_err(|why| Error::host("read", host, why))?;
    let info = FileInfo { mode: (about.mode() & 0o7777) as u16, mtime: time(&about), ..FileInfo::default() };
    Ok(Node::File(Content::Host { path: host.to_owned(), len: about.len() }, info))
}

/// Time of last change in TFS form: seconds in the high half, binary fraction in the low one; 0 before 1970.
fn time(about: &fs::Metadata) -> u64 {
    let Ok(seconds) = u32::try_from(about.mtime()) else { return 0 };
    let fraction = ((about.mtime_nsec() as u64) << 32) / 1_000_000_000;
    u64::from(seconds) << 32 | fraction
}

/// Copies each library once; further paths of the same file become links to the first.
fn add_libraries(tree: &mut Tree, libraries: &[Library]) -> Result<()> {
    let mut first_paths: HashMap<&PathBuf, &GuestPath> = HashMap::new();
    for library in libraries {
        if tree.contains(&library.guest) {
            first_paths.entry(&library.host).or_insert(&library.guest);
            continue;
        }
        let node = match first_paths.get(&library.host) {
            Some(first) => Node::Link(first.as_str().as_bytes().to_vec()),
            None => host_file(&library.host)?,
        };
        tree.add(&library.guest, node)?;
        first_paths.entry(&library.host).or_insert(&library.guest);
    }
    Ok(())
}

/// Adds what is not there yet of [`FOLDERS`], [`FILES`], `/etc/hosts` and `/etc/hostname`.
fn add_system_files(tree: &mut Tree, host_name: &str) -> Result<()> {
    for folder in FOLDERS {
        tree.add_directory(&fixed_path(folder))?;
    }
    let hosts = format!("127.0.0.1 localhost\n127.0.1.1 {host_name}\n");
    let names = format!("{host_name}\n");
    let made = [("/etc/hosts", hosts.as_str()), ("/etc/hostname", names.as_str())];
    for (path, text) in FILES.into_iter().chain(made) {
        let path = fixed_path(path);
        if !tree.contains(&path) {
            let info = FileInfo { mode: 0o644, ..FileInfo::default() };
            tree.add(&path, Node::File(Content::Bytes(text.as_bytes().to_vec()), info))?;
        }
    }
    Ok(())
}

fn fixed_path(path: &str) -> GuestPath {
    path.parse().expect("paths written in this file are well formed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn options(words: &[&str]) -> Options {
        let cli = crate::cli::Cli::try_parse_from(["imagegen", "app"].iter().chain(words)).unwrap();
        cli.options.unwrap()
    }

    fn program(folder: &Path) -> Program {
        let host = folder.join("my_app");
        fs::write(&host, "program").unwrap();
        Program { host, guest: "/my_app".parse().unwrap(), bytes: Vec::new() }
    }

    #[test]
    fn the_users_file_stands_where_imagegen_would_have_put_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = folder.path().join("hosts");
        fs::write(&hosts, "1.2.3.4 x\n").unwrap();
        let options = options(&["--file", &format!("{}:/etc/hosts", hosts.display()), "--mount", "x:/data/in"]);
        let tree = assemble(&options, &program(folder.path()), &[]).unwrap();
        let Some(Node::Directory(etc)) = tree.root().get(b"etc".as_slice()) else { panic!("/etc is a directory") };
        let Some(Node::File(content, info)) = etc.get(b"hosts".as_slice()) else { panic!("/etc/hosts is a file") };
        assert_eq!(content, &Content::Host { path: hosts, len: 10 });
        assert!(info.mode & 0o400 != 0 && info.mtime >> 32 > 0);
        assert!(tree.contains(&"/data/in".parse().unwrap()) && tree.contains(&"/my_app".parse().unwrap()));
    }

    #[test]
    fn a_folder_is_copied_with_its_links() {
        let folder = tempfile::tempdir().unwrap();
        let www = folder.path().join("www");
        fs::create_dir_all(www.join("sub")).unwrap();
        fs::write(www.join("sub/a b"), "1").unwrap();
        std::os::unix::fs::symlink("sub/a b", www.join("link")).unwrap();
        let options = options(&["--dir", &format!("{}:/www", www.display())]);
        let tree = assemble(&options, &program(folder.path()), &[]).unwrap();
        let Some(Node::Directory(www)) = tree.root().get(b"www".as_slice()) else { panic!("/www is a directory") };
        assert_eq!(www.get(b"link".as_slice()), Some(&Node::Link(b"sub/a b".to_vec())));
        assert!(tree.contains(&"/www/sub/a b".parse().unwrap()));
    }

    #[test]
    fn a_library_at_two_paths_is_stored_once() {
        let folder = tempfile::tempdir().unwrap();
        let program = program(folder.path());
        let library = |guest: &str| Library { host: program.host.clone(), guest: guest.parse().unwrap() };
        let libraries = [library("/lib/a.so"), library("/usr/lib/a.so")];
        let tree = assemble(&options(&[]), &program, &libraries).unwrap();
        let Some(Node::Directory(usr)) = tree.root().get(b"usr".as_slice()) else { panic!("/usr is a directory") };
        let Some(Node::Directory(lib)) = usr.get(b"lib".as_slice()) else { panic!("/usr/lib is a directory") };
        assert_eq!(lib.get(b"a.so".as_slice()), Some(&Node::Link(b"/lib/a.so".to_vec())));
    }

    #[test]
    fn missing_files_and_folders_are_named_with_their_option() {
        let folder = tempfile::tempdir().unwrap();
        let error = assemble(&options(&["--file", "no/such:/x"]), &program(folder.path()), &[]).unwrap_err();
        assert!(error.to_string().starts_with("--file no/such:/x: cannot open no/such"), "{error}");
        let wrong = format!("{}:/x", folder.path().display());
        let error = assemble(&options(&["--file", &wrong]), &program(folder.path()), &[]).unwrap_err();
        assert!(error.to_string().contains("use --dir"), "{error}");
    }

    #[test]
    fn the_host_name_has_only_letters_that_are_allowed_in_one() {
        assert_eq!(host_name(&options(&[])), "app");
        assert_eq!(host_name(&options(&["--name", "Web_1"])), "Web-1");
        assert_eq!(host_name(&options(&["--name", "ü"])), "skiff");
    }
}
