//! Sandboxes: lanes that a task occupies for fuel over speed, and what it comes to there.

use crate::{
    attack::Conduct,
    node::Task,
    plant::Plant,
    seen::Seen,
    truth,
    world::{MS, What, World},
};
use pocketmesh_protocol::{Executed, Input, Item, Run, RunId};
use pocketmesh_types::PeerId;

/// What a task costs beside its fuel.
const OVERHEAD: u64 = MS;

impl World {
    /// A peer has a task executed.
    pub(crate) fn execute(&mut self, at: u32, run: &Run) {
        let job = run.name.parse().expect("jobs are named by their number");
        let task = run.args.first().and_then(|index| index.parse().ok()).expect("a task is told its index");
        self.see(&Seen::Began { at, job, task });
        let task = Task { run: run.run, job, task, seed: run.seed, waited: 0 };
        self.nodes[at as usize].lanes.queued.push_back(task);
        self.pump(at);
    }

    /// Lets free lanes take what waits. A peer without slots has one lane, for its own checks.
    pub(crate) fn pump(&mut self, at: u32) {
        let group = &self.plan.peers[usize::from(self.truth.peers[at as usize].group)];
        let (lanes, speed) = (usize::from(group.slots.max(1)), group.speed);
        loop {
            let node = &mut self.nodes[at as usize];
            if node.lanes.running.len() >= lanes {
                return;
            }
            let Some(task) = node.lanes.queued.pop_front() else { return };
            node.lanes.running.push(task.run);
            let life = node.life;
            let jitter = 0.95 + 0.1 * self.dice.sandbox.unit();
            let took = self.truth.jobs[task.job as usize].task_us as f64 / speed * jitter;
            self.later(took as u64 + OVERHEAD, What::Ran { at, life, task: Box::new(task) });
        }
    }

    /// A task has run: now it is seen what it came to.
    pub(crate) fn ran(&mut self, at: u32, mut task: Box<Task>) {
        let node = &self.nodes[at as usize];
        if !node.lanes.running.contains(&task.run) {
            return;
        }
        let life = node.life;
        match self.conduct(at, &task) {
            Conduct::Never => {}
            Conduct::Wait(span) => {
                task.waited += 1;
                self.later(span, What::Ran { at, life, task });
            }
            Conduct::Claims(executed) => {
                let name = self.nodes[at as usize].id;
                self.see(&Seen::Ran { at, name: &name, job: task.job, task: task.task });
                self.finished(at, task.run, executed);
            }
        }
    }

    fn finished(&mut self, at: u32, run: RunId, executed: Executed) {
        let node = &mut self.nodes[at as usize];
        node.lanes.running.retain(|&running| running != run);
        node.delivered += 1;
        self.tell(at, Input::ExecutionFinished { run, result: Ok(executed) });
        self.pump(at);
    }

    /// What an honest sandbox on this peer's processor makes of a task.
    pub(crate) fn honest_result(&self, at: u32, task: &Task) -> Executed {
        let facts = &self.truth.jobs[task.job as usize];
        let is_hit = f64::from(task.seed[9]) < 256.0 * self.truth.arch_fault;
        let faulty = is_hit && self.truth.is_faulty(self.truth.peers[at as usize].arch);
        let own_run = facts.requester == at;
        if own_run
            && self.plant == Some(Plant::BelievesLiars)
            && let Some(twist) = self.wiretap.first_twist(task.job, task.task)
        {
            return truth::result(facts, &task.seed, twist);
        }
        truth::result(facts, &task.seed, if faulty { truth::ARCH_TWIST } else { 0 })
    }

    /// A peer wants something brought to it.
    pub(crate) fn fetch(&mut self, at: u32, item: Item, len: u64, from: &[PeerId]) {
        let node = &self.nodes[at as usize];
        let life = node.life;
        let has = matches!(item, Item::Blob(blob) if node.programs.contains(&blob));
        let gives = |peer: &&PeerId| {
            let other = truth::index_of(peer);
            node.link(other).is_some() && self.nodes[other as usize].peer.is_some()
        };
        let found = has || from.iter().any(|peer| gives(&peer));
        let mut took = 0;
        if found && !has {
            self.meter.fetched(len);
            let dice = &mut self.dice.links;
            took = crate::links::latency(&self.links, dice) + crate::links::latency(&self.links, dice);
            took += len * 1_000_000 / self.links.bytes_per_s;
        }
        self.later(took, What::Fetched { at, life, item, found });
    }

    /// It is here, or not to be had.
    pub(crate) fn fetched(&mut self, at: u32, item: Item, found: bool) {
        const PROGRAMS_MAX: usize = 16;
        if let Item::Blob(blob) = item
            && found
        {
            let programs = &mut self.nodes[at as usize].programs;
            programs.insert(blob);
            if programs.len() > PROGRAMS_MAX {
                programs.pop_first();
            }
        }
        self.tell(at, Input::Fetched { item, found });
    }
}
