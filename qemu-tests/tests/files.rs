//! Files of the root volume: there after a reboot, and sound in the eyes of an independent checker.

#![forbid(unsafe_code)]

use std::fs;

use qemu_tests::build::{Link, app, c_program};
use qemu_tests::disk;
use qemu_tests::vm::Run;

#[test]
fn what_the_guest_made_is_there_after_a_reboot() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("kept.img");
    let program = c_program(&app("kept/main.c"), Link::GlibcStatic, &[], folder.path());
    let run = Run::new(&program).options(&["-o", &image.to_string_lossy()]);
    assert_eq!(run.clone().to_end().unwrap().success(), "made\n");
    disk::expect_sound(&image);
    if let Some(text) = disk::file(&image, "/kept/a folder/here.txt") {
        assert_eq!(text, b"moved");
    }
    let expected = "/kept/plain.txt: plain 640\n/kept/a folder/näme.txt: deep 640\n/kept/link: moved 640\n\
                    removed: No such file or directory\nlarge: 0 wrong, 0 bytes behind\nsparse: 1000003 0 0 end\n\
                    small: 200\n";
    for _ in 0..2 {
        assert_eq!(run.clone().existing_image(&image).to_end().unwrap().success(), expected);
        disk::expect_sound(&image);
    }
}

#[test]
fn files_and_folders_of_the_image_are_in_the_guest() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir_all(here.join("tree/sub folder")).unwrap();
    fs::write(here.join("tree/sub folder/ä.txt"), "from a tree").unwrap();
    fs::write(here.join("single"), "a single file").unwrap();
    let program = c_program(&app("streams/main.c"), Link::GlibcStatic, &[], here);
    let tree = format!("{}:/srv/www", here.join("tree").display());
    let single = format!("{}:/etc/app.conf", here.join("single").display());
    let run = Run::new(&program).options(&["--dir", &tree, "--file", &single]);
    let run = run.arguments(&["show", "/srv/www/sub folder/ä.txt", "/etc/app.conf"]);
    assert_eq!(run.to_end().unwrap().success(), "from a tree\na single file\n");
}
