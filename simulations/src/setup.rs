//! From a scenario to a world, and through its phases.

use crate::{
    attack::{Clique, Wiretap},
    checkers::Checkers,
    dice::Dice,
    journal::Journal,
    life,
    meter::Meter,
    node::Node,
    overlay::{self, Overlay, Places},
    plant::Plant,
    queue::Queue,
    scenario::{Arch, Behaviour, Faults, Scenario, Work},
    trace::Trace,
    truth::{FUEL_PER_MS, JobFacts, Truth, Who},
    world::{SECOND, Streams, What, World},
};
use pocketmesh_protocol::{Command, CommandId, Input, Inputs};
use pocketmesh_types::{
    BlobId, Fuel, JobId, Output, PerGib, Price, UnixTime,
    job::{Job, TaskLimits},
};
use pocketmesh_wire::envelope;
use std::collections::BTreeMap;

/// Peers start within this.
const START_WITHIN: u64 = 2 * SECOND;
/// When a job is submitted again that found its peer down.
const TRY_AGAIN: u64 = 5 * SECOND;
/// Bytes of every program.
const PROGRAM_BYTES: u64 = 64 << 10;

impl World {
    /// The world of a scenario, before anything has happened.
    pub fn new(plan: Scenario, seed: u64, plant: Option<Plant>) -> Self {
        let dice = |purpose: &str| Dice::new(seed, purpose);
        let mut world = Self {
            now: 0,
            seed,
            nodes: (0..plan.peers_in_all()).map(|index| Node::new(seed, index)).collect(),
            truth: Truth::default(),
            checkers: Checkers::for_scenario(&plan),
            meter: Meter::default(),
            trace: Trace::default(),
            plant,
            links: plan.links,
            mesh: plan.overlay,
            overlay: Overlay::assumed(),
            edges: Vec::new(),
            places: Places::default(),
            faults: Faults::default(),
            phase: 0,
            sides: None,
            journal: Journal::default(),
            refused: BTreeMap::new(),
            wiretap: Wiretap::default(),
            clique: Clique::default(),
            plan,
            dice: Streams {
                links: dice("links"),
                gossip: dice("gossip"),
                sandbox: dice("sandbox"),
                churn: dice("churn"),
                faults: dice("faults"),
                jobs: dice("jobs"),
            },
            queue: Queue::default(),
            epochs: 0,
            tokens: 0,
            commands: 0,
            sampled: 0,
            jobs_wanted: true,
        };
        world.people();
        world.wire(seed);
        world.plan_starts();
        world.plan_jobs();
        world
    }

    /// Who is who. Groups are dealt out in turn, so that each shard and neighbourhood has its share of each.
    fn people(&mut self) {
        let mut order: Vec<u16> = Vec::with_capacity(self.nodes.len());
        for (group, peers) in self.plan.peers.iter().enumerate() {
            order.extend(std::iter::repeat_n(group as u16, peers.count as usize));
        }
        for last in (1..order.len()).rev() {
            order.swap(last, self.dice.churn.index(last + 1));
        }
        let mut members = vec![0u32; self.plan.peers.len()];
        for group in order {
            let plan = &self.plan.peers[usize::from(group)];
            let nth = members[usize::from(group)];
            members[usize::from(group)] += 1;
            let prefix = nth.checked_div(plan.per_prefix).map(|block| {
                let [_, a, b, c] = block.to_be_bytes();
                [4, group as u8, a, b, c, 0]
            });
            let (behaviour, arch, whitewash) = (plan.behaviour, plan.arch, plan.whitewash);
            self.truth.peers.push(Who { group, behaviour, arch, prefix, whitewash });
        }
        self.wiretap.on = self.truth.peers.iter().any(|who| who.behaviour == Behaviour::Copier);
        self.truth.borne = self.plan.provide.borne();
        self.truth.arch_fault = self.plan.phases.iter().map(|phase| phase.faults.arch_fault).fold(0.0, f64::max);
        let has_b = self.truth.peers.iter().any(|who| who.arch == Arch::B);
        debug_assert!(self.truth.arch_fault == 0.0 || has_b, "a fault on a processor that nobody has");
    }

    fn wire(&mut self, seed: u64) {
        let peers = self.nodes.len() as u32;
        self.edges = overlay::graph(peers, self.mesh.degree, &mut Dice::new(seed, "graph"));
        if let Some(hub) = self.mesh.hub {
            let hubs: Vec<u32> =
                (0..peers).filter(|&at| u32::from(self.truth.peers[at as usize].group) == hub).collect();
            for &one in &hubs {
                let others = (0..peers).filter(|&other| other != one && !hubs.contains(&other));
                for other in others {
                    if !self.edges[one as usize].contains(&other) {
                        self.edges[one as usize].push(other);
                        self.edges[other as usize].push(one);
                    }
                }
            }
        }
        self.places = Places::new(seed, peers);
    }

    fn plan_starts(&mut self) {
        for at in 0..self.nodes.len() as u32 {
            let churn = self.plan.peers[usize::from(self.truth.peers[at as usize].group)].churn;
            let away = churn.profile().is_some_and(|(session, absence, _)| {
                let share = absence / (session + absence);
                self.dice.churn.chance(share)
            });
            self.nodes[at as usize].away = away;
            if !away {
                let wait = self.dice.churn.below(START_WITHIN);
                self.later(wait, What::Start { at });
            }
            self.plan_churn(at, away);
        }
        self.later(SECOND, What::Sample);
    }

    fn plan_jobs(&mut self) {
        let span: u64 = self.plan.phases.iter().map(|phase| phase.seconds).sum();
        for work in 0..self.plan.jobs.len() {
            let plan = self.plan.jobs[work].clone();
            let by: Vec<u32> = (0..self.nodes.len() as u32)
                .filter(|&at| self.plan.peers[usize::from(self.truth.peers[at as usize].group)].name == plan.by)
                .collect();
            for nth in 0..plan.count {
                let by = by[nth as usize % by.len()];
                let at = (plan.at_s + u64::from(nth)) * SECOND;
                self.queue.push(at, What::Submit { by, work: work as u16 });
            }
            let per_second = plan.per_hour / 3_600.0;
            for by in by.into_iter().filter(|_| per_second > 0.0) {
                let mut at = 5.0 + self.dice.jobs.exponential(1.0 / per_second);
                while at < span as f64 {
                    self.queue.push((at * SECOND as f64) as u64, What::Submit { by, work: work as u16 });
                    at += self.dice.jobs.exponential(1.0 / per_second);
                }
            }
        }
    }

    /// A peer's owner submits a job, if the peer is up.
    pub(crate) fn submit(&mut self, by: u32, work: u16) {
        if self.nodes[by as usize].peer.is_none() {
            // Its owner tries again.
            if self.jobs_wanted {
                self.later(TRY_AGAIN, What::Submit { by, work });
            } else {
                self.meter.not_submitted += 1;
            }
            return;
        }
        let plan = &self.plan.jobs[usize::from(work)];
        let job = job_of(plan, work, self.truth.jobs.len(), self.wall(by));
        let id = JobId(envelope::id(&job.clone().into()));
        let facts = JobFacts {
            id,
            requester: by,
            job: job.clone(),
            policy: plan.policy,
            fuel: Fuel(plan.task_ms * FUEL_PER_MS),
            task_us: plan.task_ms * 1_000,
            output_bytes: plan.output_bytes,
            at: self.now,
        };
        self.nodes[by as usize].programs.insert(job.program);
        self.truth.add_job(facts);
        self.commands += 1;
        let command = Command::Submit { job: Box::new(job), inputs: Inputs::None };
        self.tell(by, Input::Command { id: CommandId(self.commands), command });
    }

    /// Lives through all phases, and then until every job is settled.
    pub fn run(&mut self) {
        let mut end = 0;
        for number in 0..self.plan.phases.len() {
            let (seconds, faults) = (self.plan.phases[number].seconds, self.plan.phases[number].faults);
            end += seconds * SECOND;
            self.phase = number as u32;
            self.begin_phase(faults);
            self.run_until(end, |_| false);
        }
        self.liveness(end);
    }

    fn begin_phase(&mut self, faults: Faults) {
        self.faults = faults;
        let (phase, peers) = (self.phase, self.nodes.len() as f64);
        self.again(faults.partitions_per_hour, What::Partition { heals: false, phase });
        self.again(faults.clock_jumps_per_hour * peers, What::ClockJump { phase });
        self.again(faults.crashes_per_hour * peers, What::AnyCrash { phase });
    }

    /// Faults stop, everybody comes back, clocks are set right: now every job must settle.
    fn liveness(&mut self, end: u64) {
        self.phase = u32::MAX;
        self.faults = Faults { no_churn: true, ..Faults::default() };
        self.jobs_wanted = false;
        if self.sides.is_some() {
            self.partition(true, self.phase);
        }
        for at in 0..self.nodes.len() as u32 {
            self.nodes[at as usize].away = false;
            self.set_clock(at, 0);
            let wait = self.dice.churn.below(START_WITHIN);
            self.later(wait, What::Start { at });
        }
        self.meter.phases_end = end;
        let settled = self.plan.settle_s * SECOND;
        self.run_until(end + 30 * SECOND, |_| false);
        self.run_until(end + settled, |world| world.checkers.all_settled());
        self.checkers.end(&self.truth, self.now);
    }
}

fn job_of(plan: &Work, work: u16, number: usize, epoch: UnixTime) -> Job {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&(number as u64).to_le_bytes());
    Job {
        program: BlobId::of(format!("program {work}").as_bytes()),
        program_len: PROGRAM_BYTES,
        name: number.to_string(),
        args: vec!["{index}".into()],
        env: Vec::new(),
        files: Output::of(b""),
        inputs: Output::default(),
        input_name: String::new(),
        tasks: plan.tasks,
        first_index: 0,
        limits: TaskLimits { wall_ms: plan.wall_s * 1_000, ..TaskLimits::default() },
        policy: plan.policy.policy(),
        max_price: Price(plan.ceiling),
        per_gib: PerGib(plan.per_gib),
        budget: None,
        profile: life::profile(),
        epoch,
        nonce,
    }
}
