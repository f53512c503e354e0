//! `conv_time`: converts times such as "100s" and "2h" to seconds.

use super::strtol::strtol;

/// Converts a number and a unit (s, m, h, d, w) to seconds; without a unit,
/// `default_unit` is assumed. None if the text is empty, the number negative, the
/// unit unknown, or the time too long for an `int`. The original's `conv_time()`.
///
/// As in the C program, a unit without a number is zero, only the first byte of the
/// unit counts, and the largest number of minutes, hours, days and weeks that would fit
/// an `int` is refused.
///
/// ```
/// use scache::util::conv_time::conv_time;
/// assert_eq!(conv_time(b"2h", b's'), Some(7200));
/// assert_eq!(conv_time(b"5", b'm'), Some(300));
/// assert_eq!(conv_time(b"5 m", b'm'), None);
/// ```
pub fn conv_time(text: &[u8], default_unit: u8) -> Option<i32> {
    const MINUTE: i32 = 60;
    const HOUR: i32 = 60 * MINUTE;
    const DAY: i32 = 24 * HOUR;
    const WEEK: i32 = 7 * DAY;

    if text.is_empty() {
        return None;
    }
    let number = strtol(text);
    if number.overflow || number.value < 0 {
        return None;
    }
    let count = i32::try_from(number.value).ok()?;
    let times = |unit: i32| (count < i32::MAX / unit).then(|| count * unit);
    match number.rest.first().copied().unwrap_or(default_unit) {
        b's' => Some(count),
        b'm' => times(MINUTE),
        b'h' => times(HOUR),
        b'd' => times(DAY),
        b'w' => times(WEEK),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<i32> {
        conv_time(text.as_bytes(), b's')
    }

    #[test]
    fn each_unit_has_its_seconds() {
        assert_eq!(seconds("3"), Some(3));
        assert_eq!(seconds("3s"), Some(3));
        assert_eq!(seconds("3m"), Some(180));
        assert_eq!(seconds("3h"), Some(10_800));
        assert_eq!(seconds("3d"), Some(259_200));
        assert_eq!(seconds("3w"), Some(1_814_400));
        assert_eq!(conv_time(b"3", b'h'), Some(10_800));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "x", "1x", "1S", "1 s", "-1", "0x10", "1.5", "-", "-s"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn the_original_is_careless_about_units() {
        assert_eq!(seconds("s"), Some(0));
        assert_eq!(seconds("1ss"), Some(1));
        assert_eq!(seconds("-0"), Some(0));
    }

    #[test]
    fn the_longest_time_is_an_int_of_seconds() {
        assert_eq!(seconds("2147483647"), Some(i32::MAX));
        assert_eq!(seconds("2147483648"), None);
        assert_eq!(seconds("99999999999999999999s"), None);
        assert_eq!(seconds("35791393m"), Some(2_147_483_580));
        assert_eq!(seconds("35791394m"), None);
        assert_eq!(seconds("596522h"), Some(2_147_479_200));
        assert_eq!(seconds("596523h"), None);
        assert_eq!(seconds("24854d"), Some(2_147_385_600));
        assert_eq!(seconds("24855d"), None);
        assert_eq!(seconds("3549w"), Some(2_146_435_200));
        assert_eq!(seconds("3550w"), None);
    }
}
