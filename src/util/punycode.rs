//! `punycode`: text beyond ASCII, written in letters, digits and hyphens.
//!
//! RFC 3492 with the parameters of RFC 5891, for one label of a domain name,
//! without the `xn--` before it.

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 128;

/// Encodes a label. Nothing when it is too long for the arithmetic.
pub fn encode(label: &str) -> Option<String> {
    let mut code: String = label.chars().filter(char::is_ascii).collect();
    let basic = code.len() as u32;
    if basic > 0 {
        code.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (INITIAL_N, 0u32, INITIAL_BIAS, basic);
    while let Some(next) = label.chars().map(u32::from).filter(|&c| c >= n).min() {
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1)?;
            } else if c == n {
                push_number(&mut code, delta, bias);
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(code)
}

/// Decodes what [`encode`] made. Nothing when it cannot have made it.
pub fn decode(code: &str) -> Option<String> {
    let (basic, digits) = code.rsplit_once('-').unwrap_or(("", code));
    if !code.is_ascii() || digits.is_empty() && !code.is_empty() && basic.is_empty() {
        return None;
    }
    let mut label: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (INITIAL_N, 0u32, INITIAL_BIAS);
    let mut digits = digits.bytes();
    while digits.len() > 0 {
        let start = i;
        let (mut weight, mut k) = (1u32, BASE);
        loop {
            let digit = value_of(digits.next()?)?;
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if digit < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
            k += BASE;
        }
        let length = label.len() as u32 + 1;
        bias = adapt(i - start, length, start == 0);
        n = n.checked_add(i / length)?;
        i %= length;
        label.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(label.into_iter().collect())
}

/// Appends a number of variable length.
fn push_number(code: &mut String, mut number: u32, bias: u32) {
    let mut k = BASE;
    loop {
        let t = threshold(k, bias);
        if number < t {
            break;
        }
        code.push(digit_of(t + (number - t) % (BASE - t)));
        number = (number - t) / (BASE - t);
        k += BASE;
    }
    code.push(digit_of(number));
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

fn adapt(delta: u32, length: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / length;
    let mut k = 0;
    while delta > (BASE - T_MIN) * T_MAX / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + (BASE - T_MIN + 1) * delta / (delta + SKEW)
}

fn digit_of(value: u32) -> char {
    let value = value as u8;
    char::from(if value < 26 {
        b'a' + value
    } else {
        b'0' + value - 26
    })
}

fn value_of(digit: u8) -> Option<u32> {
    match digit {
        b'a'..=b'z' => Some(u32::from(digit - b'a')),
        b'A'..=b'Z' => Some(u32::from(digit - b'A')),
        b'0'..=b'9' => Some(u32::from(digit - b'0') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3492, section 7.1, and what everybody knows.
    const SAMPLES: [(&str, &str); 8] = [
        ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
        ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
        ("pročprostěnemluvíčesky", "proprostnemluvesky-uyb24dma41a"),
        (
            "почемужеонинеговорятпорусски",
            "b1abfaaepdrnnbgefbadotcwatmq2g4l",
        ),
        ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
        ("そのスピードで", "d9juau41awczczp"),
        ("bücher", "bcher-kva"),
        ("-> $1.00 <-", "-> $1.00 <--"),
    ];

    /// With numbers where the arithmetic takes another way; the codes are from
    /// another encoder (Python's).
    const EDGES: [(&str, &str); 4] = [
        ("a\u{e6}b\u{df}", "ab-hia0a"),
        ("jp\u{174}\u{459}\u{22a}", "jp-8ua24ew8f"),
        ("y\u{312}\u{2d8}\u{1ea}", "y-zua72evg"),
        ("\u{352}\u{297}\u{5aa}h\u{253}", "h-z0a6rt0a09f"),
    ];

    #[test]
    fn the_samples_of_the_rfc_and_the_edges_of_its_arithmetic() {
        for (label, code) in SAMPLES.into_iter().chain(EDGES) {
            assert_eq!(encode(label).as_deref(), Some(code), "{label}");
            assert_eq!(decode(code).as_deref(), Some(label), "{code}");
        }
    }

    #[test]
    fn a_code_may_have_capitals() {
        assert_eq!(decode("bcher-KVA").as_deref(), Some("b\u{fc}cher"));
        assert_eq!(decode("IHQWcrb4CV8a8dqg056pqJYE"), decode(SAMPLES[1].1));
    }

    #[test]
    fn what_is_no_code_is_not_decoded() {
        for code in [
            "-",
            "999999999",
            "9c",
            "a_b",
            "a b",
            "\u{e9}",
            "99999999999999999999",
        ] {
            assert_eq!(decode(code), None, "{code}");
        }
        assert_eq!(decode("").as_deref(), Some(""));
    }
}
