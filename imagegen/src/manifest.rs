//! The manifest: the options in the root tuple of the image, with the names that Nanos gives them (FORMAT.md section 15).
//!
//! Skiff's own options start with `skiff_`. Ports are no part of it: they concern the host alone.
//! [`crate::volume`] writes it into the volume.

use crate::cli::Options;
use crate::options::Access;
use crate::program::Program;

/// Where programs look for others; a program that never starts any still may print it.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/";

/// A value of the manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Named values, in order.
    Tuple(Vec<(String, Value)>),
    /// Values in order.
    Vector(Vec<Value>),
}

impl Value {
    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

/// The options in the order in which they are written; `children` is not among them.
pub fn manifest(options: &Options, program: &Program) -> Vec<(String, Value)> {
    let mut entries = vec![
        ("program", Value::text(program.guest.as_str())),
        ("arguments", arguments(options, program)),
        ("environment", environment(options)),
        ("cwd", Value::text("/")),
    ];
    if !options.mounts.is_empty() {
        entries.push(("mounts", mounts(options)));
    }
    if !options.trace.is_empty() {
        entries.push(("skiff_trace", Value::Text(options.trace.join(","))));
    }
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn arguments(options: &Options, program: &Program) -> Value {
    let program = Value::text(program.guest.as_str());
    Value::Vector(std::iter::once(program).chain(options.arguments.iter().map(|word| Value::text(word))).collect())
}

/// `PATH` and `HOME`, then the user's variables; the last of a name wins.
fn environment(options: &Options) -> Value {
    let defaults = [("PATH", DEFAULT_PATH), ("HOME", "/")];
    let given = options.environment.iter().map(|variable| (variable.name.as_str(), variable.value.as_str()));
    let mut variables: Vec<(String, Value)> = Vec::new();
    for (name, value) in defaults.into_iter().chain(given) {
        variables.retain(|(present, _)| present != name);
        variables.push((name.to_owned(), Value::text(value)));
    }
    Value::Tuple(variables)
}

/// `%N` is the tag of the N-th virtio-9p device; `:ro` ends the path of a read-only mount (FORMAT.md section 12).
fn mounts(options: &Options) -> Value {
    let path = |guest: &str, access| match access {
        Access::ReadOnly => format!("{guest}:ro"),
        Access::ReadWrite => guest.to_owned(),
    };
    let mounts = options.mounts.iter().enumerate();
    Value::Tuple(mounts.map(|(n, m)| (format!("%{n}"), Value::Text(path(m.guest.as_str(), m.access)))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn of(words: &[&str]) -> Vec<(String, Value)> {
        let cli = crate::cli::Cli::try_parse_from(["imagegen", "app"].iter().chain(words)).unwrap();
        let program = Program { host: "app".into(), guest: "/app".parse().unwrap(), bytes: Vec::new() };
        manifest(&cli.options.unwrap(), &program)
    }

    fn get<'a>(entries: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
        entries.iter().find(|(present, _)| present == name).map(|(_, value)| value)
    }

    #[test]
    fn the_program_is_its_own_first_argument() {
        let entries = of(&["--", "-x", "y z"]);
        assert_eq!(get(&entries, "program"), Some(&Value::text("/app")));
        let expected = ["/app", "-x", "y z"].map(Value::text).to_vec();
        assert_eq!(get(&entries, "arguments"), Some(&Value::Vector(expected)));
    }

    #[test]
    fn a_variable_given_by_the_user_replaces_the_default() {
        let Some(Value::Tuple(variables)) = get(&of(&["-e", "HOME=/h", "-e", "A=1"]), "environment").cloned() else {
            panic!("environment is a tuple")
        };
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PATH", "HOME", "A"]);
        assert_eq!(get(&variables, "HOME"), Some(&Value::text("/h")));
    }

    #[test]
    fn mounts_are_numbered_in_the_order_given() {
        let expected = vec![("%0".to_owned(), Value::text("/x")), ("%1".to_owned(), Value::text("/y:ro"))];
        assert_eq!(get(&of(&["--mount", "a:/x", "--mount", "b:/y:ro"]), "mounts"), Some(&Value::Tuple(expected)));
        assert_eq!(get(&of(&[]), "mounts"), None);
    }
}
