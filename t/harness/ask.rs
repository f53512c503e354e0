//! Learns from the log of a program under test how it was built: runs it with an option
//! whose message shows that.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use super::directory::Directory;

/// Runs a program with this -o for one lookup, so that it logs statistics. Returns the
/// whole log.
pub fn ask(binary: &Path, option: &str) -> io::Result<String> {
    let said = ask_with("mail_owner = daemon\nsetgid_group = bin\n", binary, option)?;
    if said.contains("default_privs and mail_owner") {
        // It was built with this account as default_privs.
        return ask_with("mail_owner = bin\nsetgid_group = sys\n", binary, option);
    }
    Ok(said)
}

fn ask_with(accounts: &str, binary: &Path, option: &str) -> io::Result<String> {
    let directory = Directory::new()?;
    let main_cf = directory.path().join("main.cf");
    fs::write(
        &main_cf,
        format!("myhostname = mail.example.com\n{accounts}"),
    )?;
    // Set back, because the C program reads a file again, after a pause, that has just
    // been changed.
    let file = File::options().write(true).open(&main_cf)?;
    file.set_modified(SystemTime::UNIX_EPOCH)?;
    let request = directory.path().join("request");
    fs::write(&request, "request\0find_endp\0label\0version\0\0")?;
    let output = Command::new(binary)
        .args(["-V", "-S", "-o", option, "-o"])
        .arg(format!("queue_directory={}", directory.path().display()))
        .env_clear()
        .env("MAIL_CONFIG", directory.path())
        .stdin(File::open(request)?)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}
