//! Makes the random values for t/differ_macros.rs: `$name` expressions, some of them with
//! syntax errors.

use crate::harness::random::Random;

/// Parameters that the expressions refer to.
pub const MAIN_CF: &str = "\
a = A
n = 3
zeros = 007
minus = -5
big = 99999999999999999999
e =
spaces = x  y z
utf8 = \u{e9}\u{20ac}
paren = )(
brace = }{
r = $a-${n}
indirect = $e
bad = $-
bad2 = ${a b}
bad3 = ${a?{b}
loop = <$loop>
even = [${odd}]
odd = ($even)
both = $both$both
cut = ${cut
through = ${{$through} == {x} ? {y} : {z}}
d1 = $n
d2 = $d1
d3 = ${d2}
d4 = ${d3?{$d3}}
d5 = ${{$d4} == {3} ? {$d4} : {$d3}}
";

/// Number of parameters with a random value: `v0`, `v1`, ...
const VARIABLES: usize = 3;

/// Maximum depth of nested expressions, without those in the values of parameters.
const DEPTH: usize = 4;

/// The options of one run, `NAME=VALUE`.
pub fn options(random: &mut Random) -> Vec<Vec<u8>> {
    let mut options: Vec<_> = (0..VARIABLES)
        .map(|number| [format!("v{number}=").as_bytes(), &text(random, 2)].concat())
        .collect();
    let value = text(random, DEPTH);
    let value = match random.below(8) {
        0 => value,
        1 => [&value[..], b"s"].concat(),
        _ => [b"x[", &value[..], b"]"].concat(),
    };
    options.push([&b"connection_cache_ttl_limit="[..], &value].concat());
    for option in &mut options {
        let start = 1 + option.iter().position(|&c| c == b'=').expect("a value");
        if random.one_in(6) {
            spoil(random, option, start);
        }
        option.retain(|&c| c != 0);
    }
    options
}

/// Changes some of the text from `start` on.
fn spoil(random: &mut Random, text: &mut Vec<u8>, start: usize) {
    for _ in 0..1 + random.below(3) {
        if text.len() == start {
            return;
        }
        let at = start + random.below(text.len() - start);
        match random.below(5) {
            0 => drop(text.remove(at)),
            1 => text.insert(at, *random.pick(b"${}()?:=<>! \ta0_")),
            2 => text[at] = random.next() as u8,
            3 => text.truncate(at),
            _ => drop(text.splice(at..at, junk(random))),
        }
    }
}

/// Text with expressions.
fn text(random: &mut Random, depth: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..random.below(4) {
        match random.below(if depth == 0 { 4 } else { 12 }) {
            0 | 1 => text.extend(literal(random)),
            2 | 3 => text.extend([b"$", &name(random)[..]].concat()),
            4..6 => text.extend([b"$(", &expression(random, depth - 1)[..], b")"].concat()),
            _ => text.extend([b"${", &expression(random, depth - 1)[..], b"}"].concat()),
        }
    }
    text
}

/// The text between the braces of an expression.
fn expression(random: &mut Random, depth: usize) -> Vec<u8> {
    let mut text = blanks(random);
    match random.below(12) {
        0..4 => text.extend(relational(random, depth)),
        4 => text.extend(call(random, depth)),
        _ => text.extend(name(random)),
    }
    text.extend(blanks(random));
    match random.below(12) {
        0..4 => {}
        4..6 => text.extend([b"?", &part(random, depth)[..]].concat()),
        6 | 7 => text.extend([b":", &part(random, depth)[..]].concat()),
        8 => text.extend(junk(random)),
        _ => {
            let (yes, no) = (part(random, depth), part(random, depth));
            text.extend([b"?", &yes[..], b":", &no[..]].concat());
        }
    }
    text
}

/// A comparison.
fn relational(random: &mut Random, depth: usize) -> Vec<u8> {
    let operators = ["==", "!=", "<", "<=", ">=", ">"];
    let operator = match random.below(20) {
        0 => *random.pick(&["=", "===", "=>", "<>", "!", "", "==?", "<~", "!=%s", "- "]),
        _ => *random.pick(&operators),
    };
    let suffix = match random.below(10) {
        0 | 1 => "level",
        2 => *random.pick(&["level ", " level", "levelx", "LEVEL", "x", "2", "lev\u{e9}"]),
        _ => "",
    };
    let (left, right) = match random.below(3) {
        0 => (number(random), number(random)),
        _ => (text(random, depth), text(random, depth)),
    };
    let between = [
        blanks(random),
        operator.into(),
        suffix.into(),
        blanks(random),
    ]
    .concat();
    [b"{", &left[..], b"}", &between, b"{", &right, b"}"].concat()
}

/// A function call, since Postfix 3.11, of a function that does not exist: the two
/// functions that exist return their text unchanged here.
fn call(random: &mut Random, depth: usize) -> Vec<u8> {
    let name = *random.pick(&["domain_to_", "a"]);
    [name.as_bytes(), &part(random, depth)].concat()
}

/// The text after a `?` or a `:`.
fn part(random: &mut Random, depth: usize) -> Vec<u8> {
    let text = text(random, depth);
    match random.below(8) {
        0 => text,
        1 => [&b"{"[..], &text, b"}", &junk(random)].concat(),
        _ => [&blanks(random)[..], b"{", &text, b"}", &blanks(random)].concat(),
    }
}

fn name(random: &mut Random) -> Vec<u8> {
    let names = MAIN_CF.lines().filter_map(|line| line.split(' ').next());
    let names: Vec<&str> = names.collect();
    match random.below(16) {
        0..7 => names[..names.len() - 1].get(random.below(10)).copied(),
        7 | 8 => Some(*random.pick(&names)),
        9 => Some(*random.pick(&["unknown", "A", "_", "0", "a_b", "mail_owner"])),
        10 => Some(*random.pick(&["", "", " ", "-", "a b", "a-b", "\u{e9}", "a\u{e9}", "$a"])),
        _ => None,
    }
    .map_or_else(
        || format!("v{}", random.below(VARIABLES)).into(),
        |name| name.as_bytes().to_vec(),
    )
}

fn literal(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => junk(random),
        1 => number(random),
        2 => b"$$".to_vec(),
        _ => random
            .pick(&["a", "b", " ", "xyz", "5s", "A-3"])
            .as_bytes()
            .to_vec(),
    }
}

fn number(random: &mut Random) -> Vec<u8> {
    let numbers = [
        "0",
        "1",
        "3",
        "10",
        "010",
        "0003",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1x",
        "2147483648",
        "9223372036854775807",
        "9223372036854775808",
        "00000000000000000000000003",
        "99999999999999999999",
        "3.10",
        "3.9",
        "3.10.1",
        "3.1024",
        "2048",
        "1.2.3.4",
        "1.",
        ".1",
        "",
        "x",
    ];
    random.pick(&numbers).as_bytes().to_vec()
}

fn blanks(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0..8 => Vec::new(),
        8 | 9 => b" ".to_vec(),
        10 => random
            .pick(&["  ", "\t", "\r", "\n", " \t\r\n "])
            .as_bytes()
            .to_vec(),
        _ => random
            .pick(&["\u{b}", "\u{c}", "\u{1}", "\u{7f}", "\u{a0}", "\u{85}"])
            .as_bytes()
            .to_vec(),
    }
}

/// Text that is a syntax error or unusual in most places.
fn junk(random: &mut Random) -> Vec<u8> {
    let long = "long ".repeat(random.below(600));
    let deep = "{".repeat(random.below(150));
    let junk = [
        "$",
        "$$",
        "${",
        "$(",
        "${}",
        "$()",
        "$-",
        "{",
        "}",
        "(",
        ")",
        "{}",
        "?",
        ":",
        "=",
        "==",
        "<",
        "!",
        "\u{e9}",
        "\u{20ac}\u{1f600}",
        "\u{2028}\u{202e}",
        "\t",
        "\r\n",
        "\u{b}",
        "\u{1b}[1m",
        "\\",
        "\"",
        "'",
        "#",
        ",",
        "%s%n",
        &long,
        &deep,
    ];
    match random.below(10) {
        0 => vec![1 + random.below(255) as u8],
        _ => random.pick(&junk).as_bytes().to_vec(),
    }
}
