//! Parameters of random runs: each makes other events frequent.

/// Numbers of names of each kind, and maximum times in milliseconds.
#[derive(Clone, Copy)]
pub struct World {
    pub endps: usize,
    pub dests: usize,
    pub props: usize,
    pub most_ttl: usize,
    pub most_pause: usize,
    pub endpoint_limit: usize,
    pub most_sessions: usize,
    /// Number of sessions or bindings that are saved at once now and then. If it is
    /// more than 1, all sessions die now and then.
    pub at_once: usize,
}

/// Few endpoints and long lists of bindings; many endpoints and short lists; long
/// times to live; short times to live; many sessions that die at the same time, of
/// one endpoint and of two.
pub const WORLDS: [World; 6] = [
    World {
        endps: 4,
        dests: 2,
        props: 30,
        most_ttl: 3000,
        most_pause: 20,
        endpoint_limit: 0,
        most_sessions: 500,
        at_once: 1,
    },
    World {
        endps: 200,
        dests: 40,
        props: 2,
        most_ttl: 3000,
        most_pause: 20,
        endpoint_limit: 2,
        most_sessions: 500,
        at_once: 1,
    },
    World {
        endps: 20,
        dests: 10,
        props: 3,
        most_ttl: LONGEST_TTL as usize,
        most_pause: 4,
        endpoint_limit: 30,
        most_sessions: 500,
        at_once: 1,
    },
    World {
        endps: 5,
        dests: 3,
        props: 2,
        most_ttl: 20,
        most_pause: 20,
        endpoint_limit: 1,
        most_sessions: 500,
        at_once: 1,
    },
    DIES,
    World { endps: 2, ..DIES },
];

/// Many sessions of one endpoint die at the same time: more than one lookup may close.
const DIES: World = World {
    endps: 1,
    dests: 2,
    props: 2,
    most_ttl: LONGEST_TTL as usize,
    most_pause: 4,
    endpoint_limit: 0,
    most_sessions: MOST_OTHERS,
    at_once: 150,
};

/// Very many sessions and bindings are saved while almost no time passes.
pub const FILL: World = World {
    endps: 3000,
    dests: 2000,
    props: 50,
    most_ttl: LONGEST_TTL as usize,
    most_pause: 1,
    endpoint_limit: 0,
    most_sessions: 10_000,
    at_once: 150,
};

/// The sessions and bindings of [`FILL`] expire.
pub const DRAIN: World = World {
    most_ttl: 20,
    most_pause: 5,
    at_once: 1,
    ..FILL
};

/// Maximum time to live, in milliseconds.
pub const LONGEST_TTL: u64 = 20_000;

/// Maximum number of sessions that are sockets; the others are files.
pub const MOST_OTHERS: usize = 300;
