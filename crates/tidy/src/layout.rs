//! Where things lie: the top level holds what it is meant to, and every page of `specs/` describes a module.

use crate::Finding;

/// Files and folders that may stand at the top level, beside those whose name begins with a dot.
const TOP_LEVEL: [&str; 13] = [
    "Cargo.toml",
    "Cargo.lock",
    "README.md",
    "CHANGELOG.md",
    "LICENSE-MIT",
    "LICENSE-APACHE",
    "clippy.toml",
    "deny.toml",
    "rustfmt.toml",
    "justfile",
    "crates",
    "bin",
    "specs",
];
/// Scenarios and seeds, and the simulator; apart because it comes later than the rest.
const SIMULATIONS: &str = "simulations";

/// Entries of the top level that do not belong there.
pub fn check_top_level<'a>(entries: impl IntoIterator<Item = &'a str>) -> Vec<Finding> {
    let foreign = |entry: &&str| {
        let is_known = TOP_LEVEL.contains(entry) || *entry == SIMULATIONS;
        !is_known && !entry.starts_with('.')
    };
    let message = "does not belong at the top level: move it into the crate or the folder that it serves";
    entries.into_iter().filter(foreign).map(|entry| Finding::of_file(entry, message)).collect()
}

/// Pages of `specs/` that are named after no module or crate, and pages that the README does not list or invents.
///
/// `pages` and `sources` are paths from the root of the repository.
pub fn check_pages<'a>(pages: &[String], sources: impl IntoIterator<Item = &'a str>, readme: &str) -> Vec<Finding> {
    let modules: Vec<_> = sources.into_iter().flat_map(modules_of).collect();
    let mut findings = Vec::new();
    for page in pages {
        let name = page_name(page);
        if !modules.contains(&name.replace('-', "_").as_str()) {
            let message = format!("describes no module: name the page after a module or crate, there is no `{name}`");
            findings.push(Finding::of_file(page, message));
        }
        if !readme.contains(page.as_str()) {
            findings.push(Finding::of_file(page, "is not in the README's list of specs: link it there"));
        }
    }
    findings.extend(invented_pages(pages, readme));
    findings
}

fn invented_pages<'a>(pages: &'a [String], readme: &'a str) -> impl Iterator<Item = Finding> + 'a {
    let numbered = readme.lines().enumerate();
    let links = numbered.flat_map(|(at, line)| line.split(['(', ')', ' ']).map(move |word| (at + 1, word)));
    let invented = links.filter(|(_, word)| {
        let is_page = word.starts_with("specs/") && word.ends_with(".md");
        is_page && pages.iter().all(|page| page != word)
    });
    invented.map(|(line, word)| {
        Finding::at("README.md", line, format!("links {word}, which is not there: write the page or drop the link"))
    })
}

fn page_name(page: &str) -> &str {
    let file = page.rsplit('/').next().unwrap_or(page);
    file.strip_suffix(".md").unwrap_or(file)
}

/// The crate, folders and file that the path of a source file names: all of them are modules.
fn modules_of(source: &str) -> Vec<&str> {
    let Some((crate_path, module_path)) = source.split_once("/src/") else { return Vec::new() };
    let crate_name = crate_path.rsplit('/').next();
    let modules = module_path.split('/').map(|part| part.strip_suffix(".rs").unwrap_or(part));
    crate_name.into_iter().chain(modules).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_belong_at_the_top_level_is_found() {
        let found = check_top_level(["Cargo.toml", ".ci", "simulations", "notes.md", "scripts"]);
        assert_eq!(found.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["notes.md", "scripts"]);
    }

    fn found(page: &str, readme: &str) -> usize {
        let sources = ["crates/protocol/src/auction.rs", "crates/protocol/src/verification/replicas.rs"];
        check_pages(&[page.to_owned()], sources, readme).len()
    }

    #[test]
    fn a_page_is_named_after_a_module_a_folder_of_modules_or_a_crate() {
        for page in ["specs/auction.md", "specs/verification.md", "specs/replicas.md", "specs/protocol.md"] {
            assert_eq!(found(page, page), 0, "{page}");
        }
        assert_eq!(found("specs/auctions.md", "specs/auctions.md"), 1);
    }

    #[test]
    fn the_readme_invents_no_page() {
        let found = check_pages(&[], [], "The specs:\n[offers](specs/offers.md), [vectors](specs/vectors).");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("README.md", Some(2)));
    }

    #[test]
    fn the_readme_lists_every_page() {
        assert_eq!(found("specs/auction.md", "nothing about it"), 1);
    }
}
