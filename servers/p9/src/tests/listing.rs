//! Directory listings.

use super::bench::{both, connect};
use super::host::Style;
use crate::Options;
use protocol::fs::{Access, Error, Kind};
use std::collections::BTreeSet;
use std::format;
use std::string::String;

#[test]
fn a_long_listing_comes_in_parts_each_name_once() {
    for bench in both() {
        let expected: BTreeSet<String> = (0..700).map(|n| format!("file-with-a-longer-name-{n}")).collect();
        expected.iter().for_each(|name| bench.put_file(name, b""));
        let dir = bench.opened_root();
        for room in [300, 4096, 1 << 20] {
            let (mut seen, mut cookie) = (BTreeSet::new(), 0);
            loop {
                let (names, last) = bench.list(dir, cookie, room).unwrap();
                if names.is_empty() {
                    break;
                }
                for (name, kind) in names {
                    assert_eq!(kind, Kind::File);
                    assert!(seen.insert(name));
                }
                cookie = last;
            }
            assert!(seen == expected, "room {room}");
        }
    }
}

#[test]
fn an_empty_directory_lists_as_nothing_without_the_dots() {
    for bench in both() {
        assert_eq!(bench.list(bench.opened_root(), 0, 4096), Ok((std::vec![], 0)));
    }
}

#[test]
fn a_lease_without_room_for_one_entry_is_out_of_range() {
    let bench = connect(Style::default(), Options::default(), |_| ()).ok().unwrap();
    bench.put_file("some-name", b"");
    assert_eq!(bench.list(bench.opened_root(), 0, 20), Err(Error::Range));
}

#[test]
fn only_a_directory_open_for_reading_is_listed() {
    let bench = connect(Style::default(), Options::default(), |_| ()).ok().unwrap();
    bench.put_file("f", b"");
    assert_eq!(bench.list(bench.root, 0, 4096), Err(Error::BadHandle));
    let file = bench.opened(b"f", Access::READ);
    assert_eq!(bench.list(file, 0, 4096), Err(Error::NotDirectory));
}

#[test]
fn a_listing_from_the_start_is_fresh() {
    for bench in both() {
        let dir = bench.opened_root();
        assert_eq!(bench.list(dir, 0, 4096).unwrap().0, []);
        bench.put_file("later", b"");
        assert_eq!(bench.list(dir, 0, 4096).unwrap().0, [("later".into(), Kind::File)]);
    }
}
