//! The CMOS clock: wall-clock time at boot, in whole seconds.

use super::port::{in8, out8};

const BINARY: u8 = 4;
const HOURS_24: u8 = 2;

/// Seconds since 1970-01-01T00:00:00Z, or `None` if there is no plausible clock.
///
/// Reads until two readings agree, at most a few times: an update in progress lasts 2 ms.
pub fn read() -> Option<u64> {
    let mut last = sample();
    for _ in 0..8 {
        let again = sample();
        if again == last {
            return decode(&last);
        }
        last = again;
    }
    None
}

/// Seconds, minutes, hours, day, month, year, status B.
type Sample = [u8; 7];

fn sample() -> Sample {
    [0, 2, 4, 7, 8, 9, 0x0b].map(|register| {
        // SAFETY: the CMOS index and data ports touch no memory; bit 7 of the index keeps NMI off.
        unsafe {
            out8(0x70, 0x80 | register);
            in8(0x71)
        }
    })
}

fn decode(sample: &Sample) -> Option<u64> {
    let status = sample[6];
    let number =
        |raw: u8| if status & BINARY != 0 { u64::from(raw) } else { u64::from(raw >> 4) * 10 + u64::from(raw & 15) };
    let hours = if status & HOURS_24 != 0 {
        number(sample[2])
    } else {
        number(sample[2] & 0x7f) % 12 + if sample[2] & 0x80 != 0 { 12 } else { 0 }
    };
    let (seconds, minutes) = (number(sample[0]), number(sample[1]));
    let (day, month, year) = (number(sample[3]), number(sample[4]), 2000 + number(sample[5]));
    if seconds > 59 || minutes > 59 || hours > 23 || !(1..=31).contains(&day) || !(1..=12).contains(&month) {
        return None;
    }
    Some(days_since_1970(year, month, day) * 86_400 + hours * 3600 + minutes * 60 + seconds)
}

/// Days of the proleptic Gregorian calendar, counted with years that begin in March.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days_in_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + days_in_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bcd_clock_with_twelve_hours_is_read_right() {
        // 2026-11-21 11:59:30 pm, as BCD.
        assert_eq!(decode(&[0x30, 0x59, 0x91, 0x21, 0x11, 0x26, 0]), Some(1_795_305_570));
        assert_eq!(decode(&[30, 59, 23, 21, 11, 26, BINARY | HOURS_24]), Some(1_795_305_570));
    }

    #[test]
    fn a_missing_clock_is_recognised() {
        assert_eq!(decode(&[0xff; 7]), None);
    }
}
