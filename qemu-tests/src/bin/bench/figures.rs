//! What is to be reached, and what the peers take: guest instructions per operation.

/// An operation of `bench/sysbench.c` with its aim and the peers' figures.
pub struct Operation {
    /// Name in the program's output.
    pub name: &'static str,
    /// Fewer than this is the aim.
    pub aim: u64,
    /// Linux 6.1 in a small configuration.
    pub linux: u64,
    /// Nanos of July 2026.
    pub nanos: u64,
}

const fn operation(name: &'static str, nanos: u64, linux: u64, aim: u64) -> Operation {
    Operation { name, aim, linux, nanos }
}

/// All operations that have an aim.
pub const OPERATIONS: [Operation; 19] = [
    operation("getppid", 947, 229, 115),
    operation("clock_gettime", 1_398, 66, 60),
    operation("read_1", 11_004, 1_074, 540),
    operation("read_4k", 13_421, 1_612, 1_100),
    operation("pread_64k", 55_546, 13_491, 9_500),
    operation("write_4k", 11_062, 2_337, 1_200),
    operation("open_close", 8_500, 5_715, 2_850),
    operation("stat", 6_122, 2_076, 1_040),
    operation("mmap_touch_munmap_64", 198_680, 179_938, 90_000),
    operation("page_fault", 4_879, 2_452, 1_220),
    operation("pipe_pingpong", 8_608, 8_317, 4_150),
    operation("futex_pingpong", 2_786, 6_421, 1_400),
    operation("thread_create_join", 29_955, 29_868, 15_000),
    operation("eventfd_epoll", 7_229, 1_918, 960),
    operation("sched_yield_2threads", 2_275, 2_645, 1_140),
    operation("unix_pingpong_64", 11_111, 11_175, 5_550),
    operation("tcp_pingpong_64", 17_877, 22_016, 8_900),
    operation("tcp_bulk", 611_418, 35_897, 30_000),
    operation("signal_self", 4_315, 2_941, 1_470),
];

/// One line of the table of single figures: what, measured, aim, peers.
pub fn print_figure(what: &str, measured: &str, aim: &str, peers: &str) {
    println!("{what:<44} {measured:>16}   aim {aim:<14} {peers}");
}
