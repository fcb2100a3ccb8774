//! Files that real linkers made: this test program itself, and what the C compiler gives if there is one.

use std::path::{Path, PathBuf};
use std::process::Command;

use skiff_elf::{Elf, Error, Headers, Kind, SegmentKind};

fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("elf-{name}"))
}

/// Compiles a C program; `None` where no C compiler is installed.
fn compiled(name: &str, flags: &[&str]) -> Option<Vec<u8>> {
    let source = scratch(&format!("{name}.c"));
    let program = scratch(name);
    std::fs::write(&source, "int spot(void) { return 7; }\nint main(void) { return spot(); }\n").unwrap();
    let result = Command::new("gcc").arg(&source).arg("-o").arg(&program).args(flags).output();
    match result {
        Ok(output) if output.status.success() => Some(std::fs::read(&program).unwrap()),
        _ => {
            eprintln!("no working gcc: {name} not tried");
            None
        }
    }
}

fn libraries(elf: &Elf<'_>) -> Vec<String> {
    let dynamic = elf.dynamic().unwrap().unwrap();
    dynamic.needed().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}

#[test]
fn this_program_is_understood() {
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    let elf = Elf::parse(&bytes).unwrap();
    let headers = elf.headers();
    assert!(headers.loads().any(|load| load.executable && load.vaddr_range().contains(&headers.entry())));
    assert!(headers.table_vaddr().is_some());
    if elf.kind() == Kind::Dynamic {
        assert!(elf.interpreter().unwrap().unwrap().starts_with(b"/"));
        assert!(libraries(&elf).iter().any(|name| name.starts_with("libc.")));
    }
}

#[test]
fn its_first_page_is_enough_for_exec() {
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    let headers = Headers::parse(&bytes[..4096], bytes.len() as u64).unwrap();
    let full = Elf::parse(&bytes).unwrap();
    let loads: Vec<_> = headers.loads().collect();
    assert_eq!(loads, full.headers().loads().collect::<Vec<_>>());
}

#[test]
fn a_function_of_this_program_is_found_by_address() {
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    let symbols = Elf::parse(&bytes).unwrap().symbols().unwrap().unwrap();
    let start = symbols.value("main").unwrap();
    let located = symbols.locate(start + 1).unwrap();
    assert_eq!((located.name, located.offset), ("main", 1));
    assert_eq!(symbols.locate(1), None);
}

#[test]
fn the_kinds_of_gcc_programs_are_told_apart() {
    let cases: [(&str, &[&str], Kind); 4] = [
        ("static", &["-static", "-no-pie"], Kind::Static),
        ("static-pie", &["-static-pie"], Kind::StaticPie),
        ("dynamic", &["-no-pie"], Kind::Dynamic),
        ("dynamic-pie", &["-pie", "-fPIE"], Kind::Dynamic),
    ];
    for (name, flags, kind) in cases {
        let Some(bytes) = compiled(name, flags) else { continue };
        let elf = Elf::parse(&bytes).unwrap();
        assert_eq!(elf.kind(), kind, "{name}");
        assert!(!elf.headers().wants_executable_stack());
        let spot = elf.symbols().unwrap().unwrap().value("spot").unwrap();
        let offset = elf.headers().offset_of(spot).unwrap();
        assert!((offset as usize) < bytes.len());
    }
}

#[test]
fn libraries_and_search_paths_of_a_dynamic_program_are_listed() {
    let flags = ["-pie", "-fPIE", "-Wl,--no-as-needed", "-lm", "-Wl,-rpath,/opt/a:$ORIGIN/b", "-Wl,--enable-new-dtags"];
    let Some(bytes) = compiled("rpath", &flags) else { return };
    let elf = Elf::parse(&bytes).unwrap();
    let dynamic = elf.dynamic().unwrap().unwrap();
    assert_eq!(libraries(&elf), ["libm.so.6", "libc.so.6"]);
    assert_eq!(dynamic.runpath(), Some(&b"/opt/a:$ORIGIN/b"[..]));
    assert_eq!((dynamic.rpath(), dynamic.soname()), (None, None));
    assert!(dynamic.is_program());
    assert!(elf.notes().any(|note| note.name == b"GNU"));
}

#[test]
fn a_library_knows_its_own_name() {
    let flags = ["-shared", "-fPIC", "-Wl,-soname,libspot.so.1", "-Wl,--disable-new-dtags", "-Wl,-rpath,/opt/c"];
    let Some(bytes) = compiled("libspot.so", &flags) else { return };
    let elf = Elf::parse(&bytes).unwrap();
    let dynamic = elf.dynamic().unwrap().unwrap();
    assert_eq!(dynamic.soname(), Some(&b"libspot.so.1"[..]));
    assert_eq!(dynamic.rpath(), Some(&b"/opt/c"[..]));
    assert!(!dynamic.is_program());
}

#[test]
fn thread_local_data_is_seen() {
    let bytes = std::fs::read("/proc/self/exe").unwrap();
    let elf = Elf::parse(&bytes).unwrap();
    let tls = elf.headers().segment(SegmentKind::Tls).unwrap();
    assert!(tls.file_bytes <= tls.mem_bytes && tls.align.is_power_of_two());
}

#[test]
fn no_truncation_of_a_real_program_is_accepted_or_panics() {
    let Some(bytes) = compiled("cut", &["-pie", "-fPIE"]) else { return };
    let full = Elf::parse(&bytes).unwrap();
    let loaded = full.headers().loads().map(|load| load.file_range().end).max().unwrap() as usize;
    for len in 1..bytes.len() {
        match Elf::parse(&bytes[..len]) {
            Err(Error::Truncated { .. }) => assert!(len < loaded, "{len}"),
            Err(other) => panic!("{len}: {other}"),
            Ok(elf) => {
                assert!(len >= loaded);
                assert!(elf.dynamic().is_ok() && elf.interpreter().is_ok());
                let _ = elf.symbols();
            }
        }
    }
}

#[test]
fn damage_anywhere_in_a_real_program_never_panics() {
    let Some(bytes) = compiled("damaged", &["-pie", "-fPIE"]) else { return };
    let headers_end = 64 + 56 * usize::from(Elf::parse(&bytes).unwrap().headers().count());
    let dynamic = Elf::parse(&bytes).unwrap().headers().segment(SegmentKind::Dynamic).unwrap().file_range();
    let spots = (0..headers_end).chain(dynamic.start as usize..dynamic.end as usize);
    for at in spots.chain(bytes.len() - 2048..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        if let Ok(elf) = Elf::parse(&damaged) {
            let _ = elf.dynamic().map(|dynamic| dynamic.map(|dynamic| dynamic.needed().count()));
            let _ = (elf.interpreter(), elf.notes().count());
            let _ = elf.symbols().map(|symbols| symbols.and_then(|symbols| symbols.locate(0x1139).map(|at| at.offset)));
        }
    }
}
