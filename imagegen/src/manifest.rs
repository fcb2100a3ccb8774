//! The manifest: the options in the root tuple of the image, with the names that Nanos gives them (FORMAT.md section 15).
//!
//! Skiff's own options start with `skiff_`. Ports are no part of it: they concern the host alone.
//! [`crate::volume`] writes it into the volume.

use tfs_format::manifest::Manifest;

use crate::cli::Options;
use crate::options::Access;
use crate::program::Program;

/// Where programs look for others; a program that never starts any still may print it.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/";

/// The options in the order in which they are written; `children` is not among them.
pub fn manifest(options: &Options, program: &Program) -> Vec<(Vec<u8>, Manifest)> {
    let mut entries = vec![
        ("program", Manifest::text(program.guest.as_str())),
        ("arguments", arguments(options, program)),
        ("environment", environment(options)),
        ("cwd", Manifest::text("/")),
        ("skiff_hostname", Manifest::text(&crate::rootfs::host_name(options))),
    ];
    if !options.mounts.is_empty() {
        entries.push(("mounts", mounts(options)));
    }
    if !options.trace.is_empty() {
        entries.push(("skiff_trace", Manifest::text(&options.trace.join(","))));
    }
    entries.into_iter().map(|(name, value)| (name.as_bytes().to_vec(), value)).collect()
}

fn arguments(options: &Options, program: &Program) -> Manifest {
    let program = Manifest::text(program.guest.as_str());
    Manifest::Vector(
        std::iter::once(program).chain(options.arguments.iter().map(|word| Manifest::text(word))).collect(),
    )
}

/// `PATH` and `HOME`, then the user's variables; the last of a name wins.
fn environment(options: &Options) -> Manifest {
    let defaults = [("PATH", DEFAULT_PATH), ("HOME", "/")];
    let given = options.environment.iter().map(|variable| (variable.name.as_str(), variable.value.as_str()));
    let mut variables = Manifest::tuple();
    for (name, value) in defaults.into_iter().chain(given) {
        variables.set(name.as_bytes(), Manifest::text(value));
    }
    variables
}

/// `%N` is the tag of the N-th virtio-9p device; `:ro` ends the path of a read-only mount (FORMAT.md section 12).
fn mounts(options: &Options) -> Manifest {
    let path = |guest: &str, access| match access {
        Access::ReadOnly => format!("{guest}:ro"),
        Access::ReadWrite => guest.to_owned(),
    };
    let mut mounts = Manifest::tuple();
    for (number, mount) in options.mounts.iter().enumerate() {
        let path = path(mount.guest.as_str(), mount.access);
        mounts.set(format!("%{number}").as_bytes(), Manifest::text(&path));
    }
    mounts
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn of(words: &[&str]) -> Vec<(Vec<u8>, Manifest)> {
        let cli = crate::cli::Cli::try_parse_from(["imagegen", "app"].iter().chain(words)).unwrap();
        let program = Program { host: "app".into(), guest: "/app".parse().unwrap(), bytes: Vec::new() };
        manifest(&cli.options.unwrap(), &program)
    }

    fn get(entries: &[(Vec<u8>, Manifest)], name: &str) -> Option<Manifest> {
        Manifest::Tuple(entries.to_vec()).get(name.as_bytes()).cloned()
    }

    #[test]
    fn the_program_is_its_own_first_argument() {
        let entries = of(&["--", "-x", "y z"]);
        assert_eq!(get(&entries, "program"), Some(Manifest::text("/app")));
        let expected = ["/app", "-x", "y z"].map(Manifest::text).to_vec();
        assert_eq!(get(&entries, "arguments"), Some(Manifest::Vector(expected)));
    }

    #[test]
    fn a_variable_given_by_the_user_replaces_the_default() {
        let variables = get(&of(&["-e", "HOME=/h", "-e", "A=1"]), "environment").unwrap();
        assert_eq!(variables.get(b"HOME"), Some(&Manifest::text("/h")));
        assert_eq!(variables.get(b"A"), Some(&Manifest::text("1")));
        assert_eq!(variables.get(b"PATH"), Some(&Manifest::text(DEFAULT_PATH)));
    }

    #[test]
    fn mounts_are_numbered_in_the_order_given() {
        let expected = vec![(b"%0".to_vec(), Manifest::text("/x")), (b"%1".to_vec(), Manifest::text("/y:ro"))];
        assert_eq!(get(&of(&["--mount", "a:/x", "--mount", "b:/y:ro"]), "mounts"), Some(Manifest::Tuple(expected)));
        assert_eq!(get(&of(&[]), "mounts"), None);
    }
}
