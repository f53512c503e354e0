//! `get_hostname`: the name of this host.

use std::io;

use super::strerror::strerror;
use super::valid_hostname::valid_hostname;

/// Returns the name from gethostname(2). Fails with the text of a fatal message if
/// it is not a valid host name. The original's `get_hostname()`.
pub fn get_hostname() -> Result<Vec<u8>, String> {
    let mut name = vec![0u8; 256];
    // SAFETY: the pointer and the length describe the buffer, which outlives
    // the call.
    let status = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) };
    if status != 0 {
        return Err(format!(
            "gethostname: {}",
            strerror(&io::Error::last_os_error())
        ));
    }
    let end = name.iter().position(|&c| c == 0).unwrap_or(name.len());
    name.truncate(end);
    if !valid_hostname(&name) {
        return Err("unable to use my own hostname".to_string());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn the_name_is_that_of_uname_unless_it_is_not_valid() {
        let output = Command::new("uname").arg("-n").output().unwrap();
        let said = output.stdout.trim_ascii();
        let name = valid_hostname(said).then(|| said.to_vec());
        let problem = || "unable to use my own hostname".to_string();
        assert_eq!(get_hostname(), name.ok_or_else(problem));
    }
}
