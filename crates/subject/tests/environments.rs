//! Python environments, with a stand-in for `uv` that needs no network.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, SystemTime};

use concord_subject::python::{
    Downloads, Engine, EnvironmentError, Environments, Progress, Recipe, Settings, TorchVersion,
    Uv, Wheels,
};
use tempfile::TempDir;

/// A program that answers as `uv` does, from an index of five versions.
///
/// It writes a line to `calls` for every run, takes what it does wrong from the file `fault`, and makes
/// environments whose Python says `3.11.7`.
const STAND_IN: &str = r#"#!/bin/sh
here=@HERE@
echo "$*" >> "$here/calls"
fault=$(cat "$here/fault" 2>/dev/null)
index="1.13.0 1.13.1 2.0.0 2.0.1 2.1.0"

offline() {
    echo "error: Request failed after 3 retries" >&2
    echo "  cause: client error (Connect)" >&2
    exit 2
}

no_solution() {
    echo "error: No solution found when resolving dependencies" >&2
    echo "  cause: Because there is no version of $1" >&2
    exit 1
}

case "$1 $2" in
"--version ")
    echo "uv 0.0.0 (stand-in)" ;;
"cache dir")
    echo "$here" ;;
"venv --no-project")
    for folder in "$@"; do :; done
    mkdir -p "$folder/bin"
    printf '#!/bin/sh\n[ -f "%s" ] && { echo "ImportError: no numpy" >&2; exit 1; }\necho 3.11.7\n' \
        "$here/broken" > "$folder/bin/python"
    chmod +x "$folder/bin/python" ;;
"pip install")
    [ "$fault" = offline ] && offline
    [ "$fault" = killed ] && kill -9 $$
    [ "$fault" = full ] && { echo "error: No space left on device (os error 28)" >&2; exit 2; }
    [ "$fault" = other ] && { echo "error: a wheel is damaged" >&2; exit 2; }
    [ "$fault" = slow ] && sleep 1
    while [ "$1" != --requirement ]; do shift; done
    wanted=$(sed -n 's/^torch==//p' "$2")
    case " $index " in *" $wanted "*) ;; *) no_solution "torch==$wanted" ;; esac
    echo "Installed torch $wanted" >&2 ;;
"pip freeze")
    printf 'numpy==1.26.4\ntorch==2.0.1\n' ;;
"pip compile")
    [ "$fault" = offline ] && offline
    case "$*" in *--torch-backend=cpu*)
        [ "$fault" = cpu ] || offline
        exit 0 ;;
    esac
    wanted=$(sed -n 's/^torch==//p' "$3")
    if [ -n "$wanted" ]; then
        case " $index " in *" $wanted "*) exit 0 ;; *) no_solution "torch==$wanted" ;; esac
    fi
    below=$(sed -n 's/.*<//p' "$3")
    newest=
    for version in $index; do
        [ "$version" = "$below" ] && break
        newest=$version
    done
    [ -n "$newest" ] || no_solution "torch<$below"
    echo "torch==$newest" ;;
*)
    echo "error: unexpected arguments $*" >&2
    exit 2 ;;
esac
"#;

/// A folder with a stand-in for `uv` and a place for environments.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder };
        fs::create_dir(place.path("bin")).unwrap();
        place.program(
            "uv",
            &STAND_IN.replace("@HERE@", &place.path("").display().to_string()),
        );
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn fault(&self, fault: &str) {
        fs::write(self.path("fault"), fault).unwrap();
    }

    fn settings(&self) -> Settings {
        let mut settings = Settings::new(format!("{}:/usr/bin:/bin", self.path("bin").display()));
        settings.free_space = |_| Ok(u64::MAX);
        settings
    }

    fn environments(&self) -> Environments {
        Environments::new(self.path("root"), self.settings())
    }

    /// With 1.3 GB free, which is enough for no environment.
    fn environments_on_a_full_disk(&self) -> Environments {
        let mut settings = self.settings();
        settings.free_space = |_| Ok(1_300_000_000);
        Environments::new(self.path("root"), settings)
    }

    /// The runs of the stand-in whose arguments begin with `start`.
    fn calls(&self, start: &str) -> usize {
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        calls.lines().filter(|call| call.starts_with(start)).count()
    }

    /// What lies in the folder of environments, hidden or not.
    fn entries(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("root")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn recipe(torch: &str) -> Recipe {
    Recipe::new(torch.parse().unwrap(), Engine::Bert)
}

fn versions(texts: &[&str]) -> Vec<TorchVersion> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn quiet(_: Progress<'_>) {}

#[test]
fn an_environment_is_made_once_and_used_again() {
    let place = Place::new();
    let environments = place.environments();
    let mut lines = Vec::new();
    let made = environments
        .ensure(&recipe("2.0.1"), &mut |step| lines.push(step.to_string()))
        .unwrap();
    assert_eq!(
        lines,
        [
            "making torch-2.0.1-bert, about 5.5 GB, default wheels",
            "uv: Installed torch 2.0.1",
            "importing its packages"
        ]
    );
    assert_eq!(
        made.interpreter(),
        place.path("root/torch-2.0.1-bert/bin/python")
    );
    assert!(made.interpreter().is_file());
    let finished = made.finished();
    assert_eq!(finished.python, "3.11.7");
    assert_eq!(finished.requirements, recipe("2.0.1").requirements());
    assert_eq!(finished.installed, ["numpy==1.26.4", "torch==2.0.1"]);
    assert!(!finished.cpu_wheels);
    assert_eq!(
        place.entries(),
        ["torch-2.0.1-bert"],
        "nothing else is left"
    );

    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let last_used = place.path("root/torch-2.0.1-bert/last_used");
    let file = File::options().append(true).open(&last_used).unwrap();
    file.set_modified(long_ago).unwrap();
    // Without uv: an environment that is there needs none.
    let mut settings = place.settings();
    settings.path = place.path("nowhere").into();
    let again = Environments::new(place.path("root"), settings)
        .ensure(&recipe("2.0.1"), &mut |step| panic!("{step}"))
        .unwrap();
    assert_eq!(again.interpreter(), made.interpreter());
    assert_eq!(place.calls("pip install"), 1);
    let listed = environments.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].last_used > long_ago);
    assert!(listed[0].taken.bytes > 0);
}

#[test]
fn wheels_for_the_cpu_are_taken_where_an_index_has_them() {
    let place = Place::new();
    place.fault("cpu");
    let environments = place.environments();
    let made = environments.ensure(&recipe("2.0.1"), &mut quiet).unwrap();
    assert!(made.finished().cpu_wheels);
    let calls = fs::read_to_string(place.path("calls")).unwrap();
    let install = calls.lines().find(|call| call.starts_with("pip install"));
    assert!(install.unwrap().contains("--torch-backend=cpu"));

    let mut settings = place.settings();
    settings.wheels = Wheels::AsConfigured;
    let environments = Environments::new(place.path("other"), settings);
    let made = environments.ensure(&recipe("2.0.1"), &mut quiet).unwrap();
    assert!(!made.finished().cpu_wheels);
}

#[test]
fn a_creation_that_fails_leaves_nothing() {
    let place = Place::new();
    let environments = place.environments();
    let fails = |fault: &str| {
        place.fault(fault);
        let error = environments
            .ensure(&recipe("2.0.1"), &mut quiet)
            .unwrap_err();
        assert_eq!(place.entries(), [""; 0], "{fault}");
        assert!(environments.list().unwrap().is_empty());
        error
    };
    let killed = fails("killed");
    assert!(matches!(killed, EnvironmentError::Uv { .. }), "{killed}");
    assert!(killed.to_string().contains("signal: 9"), "{killed}");
    let full = fails("full");
    assert!(matches!(full, EnvironmentError::FullDisk { .. }), "{full}");
    let offline = fails("offline");
    assert!(
        matches!(offline, EnvironmentError::NoNetwork { .. }),
        "{offline}"
    );
    assert!(
        offline.to_string().contains("client error (Connect)"),
        "{offline}"
    );
    File::create(place.path("broken")).unwrap();
    let broken = fails("");
    assert!(
        broken.to_string().contains("ImportError: no numpy"),
        "{broken}"
    );
}

#[test]
fn uv_failing_for_its_own_reasons_is_quoted() {
    let place = Place::new();
    place.fault("other");
    let environments = place.environments();
    let error = environments
        .ensure(&recipe("2.0.1"), &mut quiet)
        .unwrap_err();
    assert!(matches!(error, EnvironmentError::Uv { .. }), "{error}");
    assert!(error.to_string().contains("a wheel is damaged"), "{error}");
}

#[test]
fn what_a_killed_creation_left_is_not_whole_and_is_replaced() {
    let place = Place::new();
    let environments = place.environments();
    let staged = place.path("root/.torch-2.0.1-bert.building/environment/bin");
    fs::create_dir_all(&staged).unwrap();
    fs::write(staged.join("half"), "half").unwrap();
    assert!(environments.list().unwrap().is_empty());
    let unfinished = environments.unfinished().unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!(unfinished[0].name, "torch-2.0.1-bert");
    assert!(unfinished[0].taken.bytes > 0);

    let made = environments.ensure(&recipe("2.0.1"), &mut quiet).unwrap();
    assert!(!made.interpreter().with_file_name("half").exists());
    assert!(environments.unfinished().unwrap().is_empty());

    fs::create_dir_all(&staged).unwrap();
    fs::create_dir_all(place.path("root/.torch-9.9.9-bert.removing")).unwrap();
    drop(made);
    environments.remove("torch-2.0.1-bert").unwrap();
    environments.remove("torch-9.9.9-bert").unwrap();
    assert_eq!(place.entries(), [""; 0]);
}

#[test]
fn two_that_want_the_same_environment_share_it() {
    let place = Place::new();
    place.fault("slow");
    let start = Barrier::new(2);
    let one = || {
        let mut waited = false;
        start.wait();
        let made = place.environments().ensure(&recipe("2.0.1"), &mut |step| {
            waited |= matches!(step, Progress::Waiting("torch-2.0.1-bert"));
        });
        (made.unwrap().interpreter(), waited)
    };
    let (first, second) = thread::scope(|scope| {
        let other = scope.spawn(one);
        (one(), other.join().unwrap())
    });
    assert_eq!(first.0, second.0);
    assert!(first.1 != second.1, "one of them waited, and said so");
    assert_eq!(place.calls("pip install"), 1);
    assert_eq!(place.entries(), ["torch-2.0.1-bert"]);
}

#[test]
fn an_environment_of_another_recipe_is_replaced() {
    let place = Place::new();
    let environments = place.environments();
    drop(environments.ensure(&recipe("2.0.1"), &mut quiet).unwrap());
    let path = place.path("root/torch-2.0.1-bert/finished.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("transformers==", "transformers==0.")).unwrap();
    let mut replaced = false;
    environments
        .ensure(&recipe("2.0.1"), &mut |step| {
            replaced |= matches!(step, Progress::Replacing(_));
        })
        .unwrap();
    assert!(replaced);
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn an_unknown_version_is_told_with_the_nearest_ones() {
    let place = Place::new();
    let environments = place.environments();
    let error = environments
        .ensure(&recipe("2.0.7"), &mut quiet)
        .unwrap_err();
    let EnvironmentError::UnknownVersion { version, nearest } = &error else {
        panic!("{error}");
    };
    assert_eq!(version.to_string(), "2.0.7");
    assert_eq!(*nearest, versions(&["2.0.0", "2.0.1", "2.1.0"]));
    assert!(error.to_string().contains("2.0.0, 2.0.1, 2.1.0"), "{error}");
    assert_eq!(place.entries(), ["published.json"]);
}

#[test]
fn the_published_versions_are_asked_for_once_a_day() {
    let place = Place::new();
    let environments = place.environments();
    let all = versions(&["1.13.0", "1.13.1", "2.0.0", "2.0.1", "2.1.0"]);
    assert_eq!(environments.published(&mut quiet).unwrap(), all);
    let calls = place.calls("pip compile");
    assert_eq!(calls, all.len());
    let range = "1.13.1..2.0.1".parse().unwrap();
    let expanded = environments.expand(range, &mut quiet).unwrap();
    assert_eq!(expanded, versions(&["1.13.1", "2.0.0", "2.0.1"]));
    let empty = environments.expand("3.0.0..3.1.0".parse().unwrap(), &mut quiet);
    let empty = empty.unwrap_err();
    assert!(empty.to_string().contains("the newest is 2.1.0"), "{empty}");
    assert_eq!(place.calls("pip compile"), calls, "the answer was kept");

    let file = place.path("root/published.json");
    let text = fs::read_to_string(&file).unwrap();
    let asked_at = text.lines().find(|line| line.contains("asked_at")).unwrap();
    fs::write(&file, text.replace(asked_at, "\"asked_at\": 1000000000,")).unwrap();
    assert_eq!(environments.published(&mut quiet).unwrap(), all);
    assert_eq!(
        place.calls("pip compile"),
        2 * calls,
        "an old answer is not used"
    );
}

#[test]
fn a_shortage_of_disk_is_told_before_anything_is_downloaded() {
    let place = Place::new();
    let environments = place.environments_on_a_full_disk();
    let error = environments
        .ensure(&recipe("2.0.1"), &mut quiet)
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("5.5 GB") && text.contains("1.3 GB"), "{text}");
    assert_eq!(place.calls("pip install"), 0);
    assert_eq!(place.entries(), [""; 0]);
}

#[test]
fn what_keeps_a_version_from_being_found_is_told_before_a_shortage_of_disk() {
    let place = Place::new();
    let environments = place.environments_on_a_full_disk();
    let error = environments
        .ensure(&recipe("2.0.7"), &mut quiet)
        .unwrap_err();
    assert!(
        matches!(error, EnvironmentError::UnknownVersion { .. }),
        "{error}"
    );
    place.fault("offline");
    let error = environments
        .ensure(&recipe("2.0.1"), &mut quiet)
        .unwrap_err();
    assert!(
        matches!(error, EnvironmentError::NoNetwork { .. }),
        "{error}"
    );
}

#[test]
fn downloads_that_are_not_kept_go_into_a_cache_of_their_own() {
    let place = Place::new();
    let mut settings = place.settings();
    settings.downloads = Downloads::Discard;
    let environments = Environments::new(place.path("root"), settings);
    environments.ensure(&recipe("2.0.1"), &mut quiet).unwrap();
    let calls = fs::read_to_string(place.path("calls")).unwrap();
    let install = calls.lines().find(|call| call.starts_with("pip install"));
    assert!(install.unwrap().contains("--cache-dir"));
    assert_eq!(place.entries(), ["torch-2.0.1-bert"]);
}

#[test]
fn an_environment_in_use_is_not_removed() {
    let place = Place::new();
    let environments = place.environments();
    let made = environments.ensure(&recipe("2.0.1"), &mut quiet).unwrap();
    let refused = environments.remove("torch-2.0.1-bert").unwrap_err();
    assert!(matches!(refused, EnvironmentError::InUse(_)), "{refused}");
    assert!(made.interpreter().is_file());
    drop(made);
    let size = environments.list().unwrap()[0].taken;
    assert_eq!(environments.remove("torch-2.0.1-bert").unwrap(), size);
    assert_eq!(place.entries(), [""; 0]);
}

#[test]
fn only_environments_can_be_removed() {
    let place = Place::new();
    let environments = place.environments();
    environments.ensure(&recipe("2.0.1"), &mut quiet).unwrap();
    for name in [
        "",
        ".",
        "..",
        "../bin",
        "torch-2.0.1-bert/",
        "torch-2.0.1-bert/bin",
        "torch-9.9.9-bert",
    ] {
        let error = environments.remove(name).unwrap_err();
        assert!(
            matches!(error, EnvironmentError::NotThere { .. }),
            "{name}: {error}"
        );
        assert!(error.to_string().contains("torch-2.0.1-bert"), "{error}");
    }
    assert_eq!(place.entries(), ["torch-2.0.1-bert"]);
    assert!(place.path("bin/uv").is_file());
}

#[test]
fn an_environment_can_be_removed_while_they_are_listed() {
    let place = Place::new();
    let environments = place.environments();
    let stop = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let lister = scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                place.environments().list()?;
            }
            Ok::<(), EnvironmentError>(())
        });
        for _ in 0..10 {
            drop(environments.ensure(&recipe("2.0.1"), &mut quiet).unwrap());
            environments.remove("torch-2.0.1-bert").unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        lister.join().unwrap().unwrap();
    });
    assert!(environments.list().unwrap().is_empty());
}

#[test]
fn without_uv_one_is_told_how_to_get_it() {
    let place = Place::new();
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    let mut settings = place.settings();
    settings.path = empty.clone().into();
    let environments = Environments::new(place.path("root"), settings);
    let error = environments
        .ensure(&recipe("2.0.1"), &mut quiet)
        .unwrap_err();
    assert!(matches!(error, EnvironmentError::NoUv), "{error}");
    assert!(error.to_string().contains("pip install uv"), "{error}");
    assert_eq!(place.entries(), [""; 0]);
}

#[test]
fn uv_is_also_found_as_a_module_of_python() {
    let place = Place::new();
    let bin = place.path("bin");
    let version = |path: &Path| Uv::find(path.as_os_str()).map(|uv| uv.version().to_owned());
    assert_eq!(version(&bin).unwrap(), "uv 0.0.0 (stand-in)");
    // One that does not work is passed over.
    place.program("uv", "#!/bin/sh\nexit 127\n");
    place.program("python3", "#!/bin/sh\nexit 1\n");
    assert!(version(&bin).is_err());
    place.program(
        "python",
        "#!/bin/sh\n[ \"$*\" = '-m uv --version' ] && echo 'uv 1.2.3'\n",
    );
    assert_eq!(version(&bin).unwrap(), "uv 1.2.3");
}
