//! A test aid: daemons that return wrong results, each kind in the way of an attacker that the design reckons with.

use pocketmesh_types::{Hash, PeerId};
use std::{
    str::FromStr,
    sync::atomic::{AtomicU64, Ordering},
};

/// How a saboteur cheats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sabotage {
    /// Every result is wrong, in a way of its own.
    Wrong,
    /// The same, after so many honest executions.
    Sleeper(u64),
    /// Every result is wrong, and all of this name return the same wrong one.
    Clique(String),
    /// So many of a hundred results are wrong, in a way of its own.
    Sometimes(u8),
}

impl FromStr for Sabotage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = |rate: &str| rate.strip_suffix('%')?.parse().ok().filter(|rate| (1..=100).contains(rate));
        let kind = match text.split_once(':') {
            None if text == "wrong" => Some(Self::Wrong),
            Some(("sleeper", honest)) => honest.parse().ok().map(Self::Sleeper),
            Some(("clique", name)) if !name.is_empty() => Some(Self::Clique(name.into())),
            Some(("sometimes", rate)) => percent(rate).map(Self::Sometimes),
            _ => None,
        };
        kind.ok_or_else(|| "write wrong, sleeper:N, clique:NAME or sometimes:P%".into())
    }
}

impl std::fmt::Display for Sabotage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong => write!(f, "wrong"),
            Self::Sleeper(honest) => write!(f, "sleeper:{honest}"),
            Self::Clique(name) => write!(f, "clique:{name}"),
            Self::Sometimes(rate) => write!(f, "sometimes:{rate}%"),
        }
    }
}

/// A saboteur at work.
#[derive(Debug)]
pub struct Saboteur {
    kind: Sabotage,
    /// What makes its results wrong.
    mark: [u8; 32],
    executed: AtomicU64,
}

impl Saboteur {
    /// This peer, cheating so.
    pub fn new(kind: Sabotage, me: PeerId) -> Self {
        let mark = match &kind {
            Sabotage::Clique(name) => Hash::of_parts("pocketmesh test clique 1", &[name.as_bytes()]).0,
            _ => me.0,
        };
        Self { kind, mark, executed: AtomicU64::new(0) }
    }

    /// Whether it lies about its next execution; `seed` is the task's.
    pub fn cheats(&self, seed: &[u8; 32]) -> bool {
        let before = self.executed.fetch_add(1, Ordering::Relaxed);
        match self.kind {
            Sabotage::Wrong | Sabotage::Clique(_) => true,
            Sabotage::Sleeper(honest) => before >= honest,
            // The same task is always right, or always wrong.
            Sabotage::Sometimes(rate) => {
                let drawn = Hash::of_parts("pocketmesh test sometimes 1", &[&self.mark, seed]).0;
                u16::from_le_bytes([drawn[0], drawn[1]]) % 100 < u16::from(rate)
            }
        }
    }

    /// What it says that a task has written.
    pub fn spoil(&self, mut stdout: Vec<u8>) -> Vec<u8> {
        let len = stdout.len().max(1);
        stdout.extend(self.mark);
        stdout.rotate_right(self.mark.len());
        stdout.truncate(len);
        stdout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(saboteur: &Saboteur, task: u8) -> Option<Vec<u8>> {
        saboteur.cheats(&[task; 32]).then(|| saboteur.spoil(b"right".to_vec()))
    }

    #[test]
    fn kinds_are_read_as_they_are_written() {
        for text in ["wrong", "sleeper:20", "clique:red", "sometimes:3%"] {
            assert_eq!(text.parse::<Sabotage>().expect("a kind").to_string(), text);
        }
        for bad in ["", "right", "sleeper", "sleeper:x", "clique:", "sometimes:3", "sometimes:0%", "sometimes:101%"] {
            assert!(bad.parse::<Sabotage>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_clique_agrees_on_a_wrong_result_and_others_do_not() {
        let saboteur = |kind: &str, me| Saboteur::new(kind.parse().expect("a kind"), PeerId([me; 32]));
        let said = |kind, me| wrong(&saboteur(kind, me), 1).expect("wrong");
        assert_eq!(said("clique:red", 1), said("clique:red", 2));
        assert_ne!(said("clique:red", 1), said("clique:blue", 1));
        assert_ne!(said("wrong", 1), said("wrong", 2));
    }

    #[test]
    fn a_sleeper_wakes_up_and_a_cheat_now_and_then_is_true_to_itself() {
        let sleeper = Saboteur::new(Sabotage::Sleeper(3), PeerId([1; 32]));
        let said: Vec<bool> = (0..5).map(|task| wrong(&sleeper, task).is_some()).collect();
        assert_eq!(said, [false, false, false, true, true]);
        let sometimes = Saboteur::new(Sabotage::Sometimes(30), PeerId([1; 32]));
        let said = || (0..200).map(|task| wrong(&sometimes, task).is_some()).collect::<Vec<_>>();
        let first = said();
        let count = first.iter().filter(|&&is_wrong| is_wrong).count();
        assert!((30..90).contains(&count) && first == said(), "{count}");
    }
}
