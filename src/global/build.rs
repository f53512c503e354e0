//! `build`: the values that are compiled in. Each is taken from an environment variable
//! at build time, with `SCACHE_` before the Postfix name. The Makefile sets them.

macro_rules! built_in {
    ($($(#[$doc:meta])* $name:ident = $variable:literal or $default:literal;)*) => {$(
        $(#[$doc])*
        pub const $name: &str = match option_env!($variable) {
            Some(value) => value,
            None => $default,
        };
    )*};
}

built_in! {
    /// The directory of main.cf, unless MAIL_CONFIG is set.
    CONFIG_DIRECTORY = "SCACHE_CONFIG_DIRECTORY" or "/etc/postfix";
    /// The default of `queue_directory`.
    QUEUE_DIRECTORY = "SCACHE_QUEUE_DIRECTORY" or "/var/spool/postfix";
    /// The default of `daemon_directory`.
    DAEMON_DIRECTORY = "SCACHE_DAEMON_DIRECTORY" or "/usr/lib/postfix/sbin";
    /// The default of `command_directory`.
    COMMAND_DIRECTORY = "SCACHE_COMMAND_DIRECTORY" or "/usr/sbin";
    /// The default of `data_directory`.
    DATA_DIRECTORY = "SCACHE_DATA_DIRECTORY" or "/var/lib/postfix";
    /// The default of `meta_directory`.
    META_DIRECTORY = "SCACHE_META_DIRECTORY" or "/etc/postfix";
    /// The default of `shlib_directory`.
    SHLIB_DIRECTORY = "SCACHE_SHLIB_DIRECTORY" or "/usr/lib/postfix";
    /// The default of `mail_owner`.
    MAIL_OWNER = "SCACHE_MAIL_OWNER" or "postfix";
    /// The default of `setgid_group`.
    SETGID_GROUP = "SCACHE_SETGID_GROUP" or "postdrop";
    /// The default of `default_privs`.
    DEFAULT_PRIVS = "SCACHE_DEFAULT_PRIVS" or "nobody";
    /// The default of `mail_version`.
    MAIL_VERSION = "SCACHE_MAIL_VERSION" or "3.7.11";
    /// The default of `mail_release_date`.
    MAIL_RELEASE_DATE = "SCACHE_MAIL_RELEASE_DATE" or "20240304";
}
