//! The auditor's map: each function of the C program, and its counterpart in src.
//!
//! t/map/functions lists the functions of the C program. The doc comment of a counterpart
//! has one of these sentences, with the names in one line:
//!
//!     The original's `NAME()`.
//!     The original's `NAME()` and `NAME()`.
//!     The original's `NAME()`: what is different in a few words.
//!
//! Elsewhere a comment mentions a function of the C program without parentheses.
//!
//! `make map` prints the map: with MAP set, the first test writes it to stderr.

use std::fs;
use std::path::Path;

/// A function of the C program.
struct Function<'a> {
    file: &'a str,
    name: &'a str,
    /// Why it has no counterpart.
    reason: Option<&'a str>,
}

#[test]
fn the_map_is_complete() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(root.join("t/map/functions")).unwrap();
    let mut sources = Vec::new();
    read(root, "src", &mut sources);
    let (map, problems) = map(&list, &sources);
    if std::env::var_os("MAP").is_some() {
        eprint!("{map}");
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn each_mistake_is_found() {
    const LIST: &str = "x.c\n    a b\n    c: none";
    const SOURCE: &str = "/// It. The original's `a()` and `b()`: is\n/// x. As `c`.\nfn f(x) {";
    let problems = |old: &str, new: &str| {
        let source = SOURCE.replace(old, new);
        map(&LIST.replace(old, new), &[(String::new(), source)]).1
    };
    assert_eq!(problems("", ""), [""; 0]);
    for (old, new, expected) in [
        ("The", "the", "a() is not in the form"),
        ("As `c`", "As c()", "c() is not in the form"),
        ("`a()`", "`z()`", "z() is not listed"),
        ("`: is", "` is", "not in the form"),
        ("x. As `c`.", "x", "not in the form"),
        ("fn f(x) {", "", "not in the form"),
        ("///", "//!", "not in the form"),
        ("a b", "a b d", "d: neither counterpart nor reason"),
        ("    c", "    b c", "b: both counterpart and reason"),
        (": none", ": ", "c: empty reason"),
        ("a b", "a b a", "a: listed twice"),
    ] {
        let found = problems(old, new);
        let is_found = found.iter().any(|problem| problem.ends_with(expected));
        assert!(is_found, "{new}: {found:?} without {expected}");
    }
}

/// Reads the sources below a directory, in the order of their names.
fn read(root: &Path, directory: &str, sources: &mut Vec<(String, String)>) {
    let entries = fs::read_dir(root.join(directory)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let path = format!("{directory}/{}", name.to_str().unwrap());
        if root.join(&path).is_dir() {
            read(root, &path, sources);
        } else if path.ends_with(".rs") {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            sources.push((path, text));
        }
    }
}

/// Returns the map, and the problems.
fn map(list: &str, sources: &[(String, String)]) -> (String, Vec<String>) {
    let functions = functions(list);
    let (mut table, mut problems, mut counterparts) = (String::new(), Vec::new(), Vec::new());
    for (path, text) in sources {
        read_source(path, text, &functions, &mut counterparts, &mut problems);
    }
    for (index, Function { file, name, reason }) in functions.iter().enumerate() {
        let here = counterparts.iter().filter(|(function, _)| function == name);
        let here = here.map(|(_, row)| row.clone());
        let not_here = reason.map(|reason| format!("{:25} {:36} {reason}", "-", "-"));
        match (reason, here.clone().count()) {
            (None, 0) => problems.push(format!("{name}: neither counterpart nor reason")),
            (Some(_), 1..) => problems.push(format!("{name}: both counterpart and reason")),
            (Some(""), 0) => problems.push(format!("{name}: empty reason")),
            _ => {}
        }
        for row in here.chain(not_here) {
            table += format!("{file:23} {name:31} {row}").trim_end();
            table += "\n";
        }
        if functions[..index].iter().any(|other| other.name == *name) {
            problems.push(format!("{name}: listed twice"));
        }
    }
    (table, problems)
}

/// The functions in the list.
fn functions(list: &str) -> Vec<Function<'_>> {
    let (mut functions, mut file) = (Vec::new(), "");
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        if !line.starts_with(' ') {
            file = line;
            continue;
        }
        let (names, reason) = match line.split_once(':') {
            Some((names, reason)) => (names, Some(reason.trim())),
            None => (line, None),
        };
        let names = names.split_whitespace();
        functions.extend(names.map(|name| Function { file, name, reason }));
    }
    functions
}

/// Finds the functions that the comments of a source name, each with its row in the map.
fn read_source(
    path: &str,
    text: &str,
    functions: &[Function],
    counterparts: &mut Vec<(String, String)>,
    problems: &mut Vec<String>,
) {
    let is_listed = |name: &str| functions.iter().any(|function| function.name == name);
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for (index, line) in lines.iter().enumerate() {
        let place = format!("{path}:{}", index + 1);
        if !line.starts_with("//") {
            continue;
        }
        let (before, mut after) = line.split_once("The original's `").unwrap_or((line, ""));
        let mut names = Vec::new();
        while let Some((name, rest)) = after
            .split_once("()`")
            .filter(|(name, _)| !name.contains(is_other))
        {
            names.push(name);
            after = rest.strip_prefix(" and `").unwrap_or(rest);
        }
        for name in called(before).chain(called(after)) {
            if is_listed(name) {
                problems.push(format!("{place}: {name}() is not in the form"));
            }
        }
        if names.is_empty() {
            continue;
        }
        let mut next = lines[index + 1..].iter();
        let comment = next.clone().take_while(|line| line.starts_with("///"));
        let text = comment.fold(after.to_string(), |text, line| text + line[3..].trim_end());
        let sentence = text.split(". ").next().unwrap_or_default();
        let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
        let item = next.find(|line| !line.starts_with(['/', '#']));
        let item = item.and_then(|line| item_name(line));
        let is_sentence = text.starts_with(['.', ':']) && text[sentence.len()..].starts_with('.');
        if !is_sentence || item.is_none() || !line.starts_with("///") {
            problems.push(format!("{place}: not in the form"));
        }
        for name in names {
            if !is_listed(name) {
                problems.push(format!("{place}: {name}() is not listed"));
            }
            let (item, difference) = (item.unwrap_or_default(), sentence.trim_start_matches(": "));
            let row = format!("{item:25} {place:36} {difference}");
            counterparts.push((name.to_string(), row));
        }
    }
}

fn is_other(c: char) -> bool {
    !c.is_ascii_alphanumeric() && c != '_'
}

/// The words with parentheses after them.
fn called(text: &str) -> impl Iterator<Item = &str> {
    let word = |(end, _)| text[..end].rsplit(is_other).next();
    text.match_indices("()").filter_map(word)
}

/// The name of the item that a line declares.
fn item_name(line: &str) -> Option<&str> {
    let mut words = line.split(is_other);
    words.find(|word| ["fn", "const", "struct", "macro_rules"].contains(word))?;
    words.find(|word| !["", "fn"].contains(word))
}
