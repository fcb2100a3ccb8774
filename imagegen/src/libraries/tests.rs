//! The search for libraries in made-up systems; the ELF files are written by [`object`].

use std::fs;
use std::path::Path;

use super::*;

const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// A position-independent ELF file with nothing but an interpreter path and a dynamic section.
fn object(interpreter: &str, dynamic: &[(u64, &str)]) -> Vec<u8> {
    let mut strings = vec![0];
    let mut entries = Vec::new();
    for (tag, text) in dynamic {
        entries.push((*tag, strings.len() as u64));
        strings.extend_from_slice(text.as_bytes());
        strings.push(0);
    }
    let interpreter_at = 64 + 3 * 56;
    let strings_at = interpreter_at + interpreter.len() + 1;
    let dynamic_at = (strings_at + strings.len()).next_multiple_of(8);
    entries.push((DT_STRTAB, strings_at as u64));
    entries.push((DT_STRSZ, strings.len() as u64));
    entries.push((0, 0));
    let dynamic_len = entries.len() * 16;
    let total = dynamic_at + dynamic_len;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let wide = |file: &mut Vec<u8>, value: usize| file.extend((value as u64).to_le_bytes());
    half(&mut file, 3);
    half(&mut file, 62);
    file.extend(1u32.to_le_bytes());
    [0, 64, 0].iter().for_each(|value| wide(&mut file, *value));
    file.extend(0u32.to_le_bytes());
    [64, 56, 3, 64, 0, 0].iter().for_each(|value| half(&mut file, *value));
    // Without an interpreter the third header is PT_NULL.
    let interpreter_kind = if interpreter.is_empty() { 0 } else { 3 };
    let headers =
        [(1u32, 0, total), (2, dynamic_at, dynamic_len), (interpreter_kind, interpreter_at, interpreter.len() + 1)];
    for (kind, offset, len) in headers {
        file.extend(kind.to_le_bytes());
        file.extend(4u32.to_le_bytes());
        [offset, offset, offset, len, len, 1].iter().for_each(|value| wide(&mut file, *value));
    }
    file.extend_from_slice(interpreter.as_bytes());
    file.push(0);
    file.extend(strings);
    file.resize(dynamic_at, 0);
    for (tag, value) in entries {
        file.extend(tag.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file
}

/// A folder that plays `/`, with glibc's loader in Debian's place.
struct System(tempfile::TempDir);

const GLIBC: &str = "/lib64/ld-linux-x86-64.so.2";

impl System {
    fn new() -> System {
        let system = System(tempfile::tempdir().unwrap());
        let loader = object("", &[(DT_SONAME, "ld-linux-x86-64.so.2")]);
        system.write("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", &loader);
        system.link("usr/lib", "/lib");
        fs::create_dir(system.0.path().join("lib64")).unwrap();
        system.link("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", GLIBC);
        system
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let file = on_host(self.0.path(), Path::new(path));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, bytes).unwrap();
    }

    fn link(&self, target: &str, path: &str) {
        std::os::unix::fs::symlink(target, on_host(self.0.path(), Path::new(path))).unwrap();
    }

    /// Guest paths of everything found for a program at `path`, sorted.
    fn find(&self, path: &str, bytes: Vec<u8>) -> Result<Vec<String>> {
        self.write(path, &bytes);
        let host = fs::canonicalize(on_host(self.0.path(), Path::new(path))).unwrap();
        let program = Program { host, guest: "/app".parse().unwrap(), bytes };
        let mut paths: Vec<String> =
            find(&program, self.0.path())?.iter().map(|library| library.guest.to_string()).collect();
        paths.sort();
        Ok(paths)
    }
}

#[test]
fn a_static_program_needs_nothing() {
    assert_eq!(System::new().find("/app", object("", &[])).unwrap(), Vec::<String>::new());
}

#[test]
fn libraries_of_libraries_are_found_in_the_default_folders() {
    let system = System::new();
    let first = object("", &[(DT_SONAME, "liba.so.1"), (DT_NEEDED, "libb.so.2"), (DT_NEEDED, "ld-linux-x86-64.so.2")]);
    system.write("/usr/lib/x86_64-linux-gnu/liba.so.1", &first);
    system.write("/usr/lib/x86_64-linux-gnu/libb.so.2", &object("", &[(DT_NEEDED, "liba.so.1")]));
    let found = system.find("/app", object(GLIBC, &[(DT_NEEDED, "liba.so.1")])).unwrap();
    assert_eq!(found, ["/lib/x86_64-linux-gnu/liba.so.1", "/lib/x86_64-linux-gnu/libb.so.2", GLIBC]);
}

#[test]
fn a_missing_library_is_named_with_the_file_that_needs_it() {
    let system = System::new();
    system.write("/usr/lib/liba.so", &object("", &[(DT_NEEDED, "libgone.so.1")]));
    let error = system.find("/app", object(GLIBC, &[(DT_NEEDED, "liba.so")])).unwrap_err();
    let Error::MissingLibrary { name, needed_by, searched } = error else { panic!("{error}") };
    assert_eq!(name, "libgone.so.1");
    assert!(needed_by.ends_with("liba.so"));
    assert!(!searched.is_empty());
}

#[test]
fn a_missing_interpreter_is_named() {
    let error = System::new().find("/app", object("/lib/ld-other.so.1", &[])).unwrap_err();
    assert!(error.to_string().contains("needs /lib/ld-other.so.1"), "{error}");
}

#[test]
fn the_origin_of_the_program_moves_to_the_guests_root() {
    let system = System::new();
    system.write("/opt/thing/lib/liba.so", &object("", &[(DT_NEEDED, "libb.so"), (DT_RUNPATH, "$ORIGIN/deep")]));
    system.write("/opt/thing/lib/deep/libb.so", &object("", &[]));
    let program = object(GLIBC, &[(DT_NEEDED, "liba.so"), (DT_RUNPATH, "$ORIGIN/../lib")]);
    let found = system.find("/opt/thing/bin/app", program).unwrap();
    assert_eq!(found, ["/lib/deep/libb.so", "/lib/liba.so", GLIBC]);
}

#[test]
fn rpath_is_inherited_and_runpath_is_not() {
    let system = System::new();
    system.write("/opt/liba.so", &object("", &[(DT_NEEDED, "libb.so")]));
    system.write("/opt/libb.so", &object("", &[]));
    let inherited = system.find("/app", object(GLIBC, &[(DT_NEEDED, "liba.so"), (DT_RPATH, "/opt")])).unwrap();
    assert_eq!(inherited, [GLIBC, "/opt/liba.so", "/opt/libb.so"]);
    let own = system.find("/app", object(GLIBC, &[(DT_NEEDED, "liba.so"), (DT_RUNPATH, "/opt")]));
    assert!(matches!(own, Err(Error::MissingLibrary { name, .. }) if name == "libb.so"));
}

#[test]
fn a_library_that_only_the_configuration_leads_to_is_linked_beside_the_loader() {
    let system = System::new();
    system.write("/etc/ld.so.conf", b"/opt/far\n");
    system.write("/opt/far/liba.so", &object("", &[]));
    let found = system.find("/app", object(GLIBC, &[(DT_NEEDED, "liba.so")])).unwrap();
    assert_eq!(found, [GLIBC, "/opt/far/liba.so", "/usr/lib/x86_64-linux-gnu/liba.so"]);
}

#[test]
fn a_library_for_another_machine_is_passed_over() {
    let system = System::new();
    let mut foreign = object("", &[]);
    foreign[18] = 183;
    system.write("/opt/liba.so", &foreign);
    system.write("/usr/lib/x86_64-linux-gnu/liba.so", &object("", &[]));
    let found = system.find("/app", object(GLIBC, &[(DT_NEEDED, "liba.so"), (DT_RUNPATH, "/opt")])).unwrap();
    assert_eq!(found, ["/lib/x86_64-linux-gnu/liba.so", GLIBC]);
}

#[test]
fn musl_programs_use_their_loader_as_libc() {
    let system = System::new();
    system.write("/lib/ld-musl-x86_64.so.1", &object("", &[]));
    system.write("/lib/libz.so.1", &object("", &[]));
    let program = object("/lib/ld-musl-x86_64.so.1", &[(DT_NEEDED, "libc.so"), (DT_NEEDED, "libz.so.1")]);
    assert_eq!(system.find("/app", program).unwrap(), ["/lib/ld-musl-x86_64.so.1", "/lib/libz.so.1"]);
}
