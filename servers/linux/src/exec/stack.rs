//! What a program finds on its stack (psABI 3.4.1): pure, from parts to bytes.
//!
//! From low to high: argc, argv, NULL, envp, NULL, auxiliary vector, padding, 16 random bytes, platform name, argument
//! strings, environment strings, the program's path, 8 bytes of zeros.

use alloc::vec;
use alloc::vec::Vec;
use linux_abi::process::auxv;

/// Name for `AT_PLATFORM`.
const PLATFORM: &[u8] = b"x86_64\0";

/// The parts.
pub(super) struct Contents<'a> {
    /// Path of the program (`AT_EXECFN`).
    pub program: &'a [u8],
    /// `argv`.
    pub arguments: &'a [Vec<u8>],
    /// `envp`.
    pub environment: &'a [Vec<u8>],
    /// Contents of `AT_RANDOM`.
    pub random: [u8; 16],
    /// Auxiliary vector without the entries that point to the stack and without its end.
    pub vector: &'a [(u64, u64)],
}

/// Strings one after the other, each with its NUL; and where each starts.
#[derive(Default)]
struct Strings {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Strings {
    fn add(&mut self, text: &[u8]) -> usize {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.bytes.push(0);
        self.starts.push(start);
        start
    }
}

/// The bytes that end at `top`; the stack pointer is their first address, a multiple of 16.
///
/// `None` if strings and pointers exceed `limit` bytes.
pub(super) fn build(top: u64, limit: u64, contents: &Contents) -> Option<Vec<u8>> {
    let mut strings = Strings::default();
    contents.arguments.iter().chain(contents.environment).for_each(|text| {
        strings.add(text);
    });
    let program = strings.add(contents.program);
    let pointers = contents.arguments.len() + contents.environment.len();
    let size = strings.bytes.len().checked_add(pointers.checked_mul(8)?)?;
    if size as u64 > limit {
        return None;
    }
    let strings_at = top.checked_sub(8)?.checked_sub(strings.bytes.len() as u64)?;
    let platform_at = strings_at.checked_sub(PLATFORM.len() as u64)?;
    let random_at = (platform_at.checked_sub(16)?) & !15;
    let mut words = vec![contents.arguments.len() as u64];
    let (arguments, rest) = strings.starts.split_at_checked(contents.arguments.len())?;
    let environment = rest.get(..contents.environment.len())?;
    let pointer = |start: &usize| strings_at + *start as u64;
    words.extend(arguments.iter().map(pointer));
    words.push(0);
    words.extend(environment.iter().map(pointer));
    words.push(0);
    words.extend(contents.vector.iter().flat_map(|&(kind, value)| [kind, value]));
    words.extend([
        auxv::RANDOM,
        random_at,
        auxv::EXECFN,
        pointer(&program),
        auxv::PLATFORM,
        platform_at,
        auxv::NULL,
        0,
    ]);
    let rsp = random_at.checked_sub(words.len() as u64 * 8)? & !15;
    let mut image = vec![0; usize::try_from(top - rsp).ok()?];
    let mut put = |at: u64, bytes: &[u8]| {
        let at = (at - rsp) as usize;
        image.get_mut(at..at + bytes.len()).map(|out| out.copy_from_slice(bytes))
    };
    for (index, word) in words.iter().enumerate() {
        put(rsp + index as u64 * 8, &word.to_le_bytes())?;
    }
    put(random_at, &contents.random)?;
    put(platform_at, PLATFORM)?;
    put(strings_at, &strings.bytes)?;
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::{Contents, build};
    use std::vec::Vec;

    const TOP: u64 = 0x7fff_0000_0000;

    fn sample(arguments: &[Vec<u8>], environment: &[Vec<u8>]) -> (u64, Vec<u8>) {
        let contents = Contents {
            program: b"/bin/app",
            arguments,
            environment,
            random: [7; 16],
            vector: &[(6, 4096), (9, 0x1234)],
        };
        let image = build(TOP, 1 << 20, &contents).unwrap();
        (TOP - image.len() as u64, image)
    }

    fn word(rsp: u64, image: &[u8], at: u64) -> u64 {
        let at = (at - rsp) as usize;
        u64::from_le_bytes(image[at..at + 8].try_into().unwrap())
    }

    fn text(rsp: u64, image: &[u8], at: u64) -> Vec<u8> {
        image[(at - rsp) as usize..].split(|&byte| byte == 0).next().unwrap().to_vec()
    }

    #[test]
    fn a_program_finds_its_arguments_and_environment() {
        let (rsp, image) = sample(&[b"app".to_vec(), b"-v".to_vec()], &[b"A=1".to_vec()]);
        assert_eq!(rsp % 16, 0);
        assert_eq!(word(rsp, &image, rsp), 2);
        assert_eq!(text(rsp, &image, word(rsp, &image, rsp + 8)), b"app");
        assert_eq!(text(rsp, &image, word(rsp, &image, rsp + 16)), b"-v");
        assert_eq!(word(rsp, &image, rsp + 24), 0);
        assert_eq!(text(rsp, &image, word(rsp, &image, rsp + 32)), b"A=1");
        assert_eq!(word(rsp, &image, rsp + 40), 0);
        assert_eq!([word(rsp, &image, rsp + 48), word(rsp, &image, rsp + 56)], [6, 4096]);
    }

    #[test]
    fn the_vector_ends_with_pointers_into_the_stack() {
        for extra in 0..3 {
            let (rsp, image) = sample(&std::vec![b"x".to_vec(); extra + 1], &[]);
            let start = rsp + 8 * (extra as u64 + 4);
            let entries: Vec<(u64, u64)> =
                (0..6).map(|at| start + at * 16).map(|at| (word(rsp, &image, at), word(rsp, &image, at + 8))).collect();
            assert_eq!(entries[..2], [(6, 4096), (9, 0x1234)]);
            assert_eq!((entries[2].0, word(rsp, &image, entries[2].1)), (25, 0x0707_0707_0707_0707));
            assert_eq!((entries[3].0, text(rsp, &image, entries[3].1)), (31, b"/bin/app".to_vec()));
            assert_eq!((entries[4].0, text(rsp, &image, entries[4].1)), (15, b"x86_64".to_vec()));
            assert_eq!(entries[5], (0, 0));
        }
    }

    #[test]
    fn strings_lie_in_order_and_too_many_are_refused() {
        let (rsp, image) = sample(&[b"app".to_vec()], &[b"A=1".to_vec()]);
        let argument = word(rsp, &image, rsp + 8);
        let environment = word(rsp, &image, rsp + 24);
        assert_eq!(environment, argument + 4);
        let long = [std::vec![b'x'; 100]];
        let contents = Contents { program: b"p", arguments: &long, environment: &[], random: [0; 16], vector: &[] };
        assert!(build(TOP, 100, &contents).is_none());
    }
}
