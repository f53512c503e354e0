//! Tests that the replayer of transcripts notices differences: a transcript with one
//! mistake in it must fail at the place of the mistake. Tests also that src/DIFFERENCES
//! has each difference that a transcript or a table names.

mod harness;
mod replay;

use std::fs;
use std::path::Path;

use harness::kind::Kind;
use harness::master::{self, Setup};
use replay::script::Script;
use replay::{text, verdict};

/// A transcript without a mistake.
const GOOD: &str = "main.cf connection_cache_ttl_limit = 100s
connect a
a< protocol=connection_cache_protocol .
a> request=save_endp ttl=100 label=e property=p1 .
a< dummy= .
a> fd:one
a< status=0 .
a> request=save_endp ttl=100 label=e property=p2 .
a< dummy= .
a> fd:two
a< status=0 .
a> request=find_endp label=e .
a< status=0 property=p1 .
a> dummy= .
a< fd:one
a> dummy= .
held:two
a> request=frobnicate .
a< status=1 .
close a
log: warning: unrecognized request: \"frobnicate\", ignored
log: statistics: start interval Mmm dd hh:mm:ss
log: statistics: address lookup hits=1 miss=0 success=100%
log: statistics: max simultaneous domains=0 addresses=1 connection=2
";

fn verdict(text: &str) -> Result<(), String> {
    let kind = Kind::of(&master::binary());
    let script = Script::parse(Path::new("test.scn"), text, kind)?;
    verdict::plain(&script, &Setup::new)
}

/// Replaces `old` with `new`; the replay must fail at `place`.
fn spoilt(old: &str, new: &str, place: &str) {
    assert!(GOOD.contains(old), "{old}");
    let result = verdict(&GOOD.replacen(old, new, 1));
    let what = result.expect_err(&format!("{old} -> {new}: not noticed"));
    assert!(what.starts_with(place), "{place} wanted: {what}");
}

#[test]
fn a_transcript_without_a_mistake_passes() {
    verdict(GOOD).expect("good");
    // (A write with an unknown request cannot be cut, because the request is answered
    // before its end has come.)
    let known = GOOD.replacen("request=frobnicate", "request=find_endp label=f", 1);
    let known = known.replacen("a< status=1 .", "a< status=2 property= .", 1);
    let known = known.replacen(
        "log: warning: unrecognized request: \"frobnicate\", ignored\n",
        "",
        1,
    );
    let known = known.replacen("hits=1 miss=0 success=100%", "hits=1 miss=1 success=50%", 1);
    verdict(&format!("cut\n{known}")).expect("good wherever it is cut");
}

#[test]
fn wrong_replies_are_noticed() {
    spoilt(
        "a< status=0 property=p1 .",
        "a< status=0 property=p2 .",
        "test.scn:13:",
    );
    spoilt(
        "a< status=0 property=p1 .",
        "a< status=0 property= .",
        "test.scn:13:",
    );
    spoilt("a< status=0 property=p1 .", "a< status=0 .", "test.scn:13:");
    spoilt("a< status=1 .", "a< status=1 property= .", "test.scn:19:");
    spoilt("a< status=1 .", "a< fd:one", "test.scn:19:");
    spoilt("a< status=1 .", "ready a\na< silence", "test.scn:20:");
    spoilt("a< status=1 .", "a< end", "test.scn:19:");
    spoilt("a< status=1 .\n", "", "test.scn:19:");
}

#[test]
fn swapped_replies_are_noticed() {
    spoilt(
        "a< dummy= .\na> fd:one\na< status=0 .",
        "a< status=0 .\na> fd:one\na< dummy= .",
        "test.scn:5:",
    );
}

#[test]
fn wrong_descriptors_are_noticed() {
    spoilt("a< fd:one", "a< fd:two", "test.scn:15:");
    spoilt("a< fd:one", "a< .", "test.scn:15:");
    spoilt(
        "close a\n",
        "close a\nclosed:one\nheld:one\n",
        "test.scn:22:",
    );
    spoilt("held:two\n", "heard:one \"bye\"\n", "test.scn:17:");
    spoilt("held:two\n", "hang-up:three\n", "test.scn:17:");
    spoilt("held:two\n", "hold:two\n", "test.scn:17:");
}

#[test]
fn wrong_logs_are_noticed() {
    spoilt(
        "log: warning: unrecognized request: \"frobnicate\", ignored\n",
        "",
        "test.scn:21:",
    );
    spoilt("log: warning:", "log: error:", "test.scn:21:");
    spoilt("close a\n", "close a\nlog: one more\n", "test.scn:21:");
    spoilt(
        "connection=2\n",
        "connection=2\nlog: one more\n",
        "test.scn:25:",
    );
    spoilt(
        "log: statistics: max simultaneous domains=0 addresses=1 connection=2\n",
        "",
        "test.scn:23:",
    );
}

#[test]
fn a_wrong_exit_is_noticed() {
    spoilt(
        "close a\n",
        "close a\nstatus: exit 1\n",
        "test.scn: at the end",
    );
}

#[test]
fn mistakes_in_a_transcript_are_noticed() {
    spoilt("close a", "clsoe a", "test.scn:20:");
    spoilt("close a", "close b", "test.scn:20:");
    spoilt("request=frobnicate .", "frobnicate .", "test.scn:18:");
}

#[test]
fn bytes_as_text_and_back() {
    for written in ["a=b c= .", "a=x*4000 .", "a=\\s\\x01\\\\\\x2a .", "."] {
        let bytes = text::list(written).expect("a list");
        assert_eq!(text::show_list(&bytes), written);
    }
    assert_eq!(text::quoted("\"a\\0\"*2"), Ok(b"a\0a\0".to_vec()));
    assert_eq!(text::show_quoted(b"a\0 \""), "\"a\\0\\s\\x22\"");
}

/// A `differs:` line of a transcript, or of a table of options, is the title of a
/// paragraph of src/DIFFERENCES.
#[test]
fn each_difference_has_a_paragraph() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("src/DIFFERENCES")).expect("the list");
    for (directory, extension) in [("t/transcripts", "scn"), ("t/options", "cases")] {
        let mut count = 0;
        for entry in fs::read_dir(root.join(directory)).expect(directory) {
            let path = entry.expect(directory).path();
            if path.extension().is_none_or(|other| other != extension) {
                continue;
            }
            let script = fs::read_to_string(&path).expect(directory);
            for (line, number) in script.lines().zip(1..) {
                let Some(title) = line.trim_start().strip_prefix("differs: ") else {
                    continue;
                };
                let is_paragraph = text.contains(&format!("\n\n{title}\n\n    Here "));
                let place = path.display();
                assert!(is_paragraph, "{place}:{number}: no paragraph: {title}");
                count += 1;
            }
        }
        assert!(count > 0, "no line in {directory}");
    }
}
