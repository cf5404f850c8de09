"""Every dataset on disk, read from a tree of its layout with files missing and broken."""

import gzip
import logging
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from lavx.datasets import folds, kinetics400, layouts
from lavx.datasets.base import Video
from lavx.datasets.etri_activity3d import EtriActivity3D, parse
from lavx.datasets.folder import Folder
from lavx.datasets.jhmdb21 import CLASSES as JHMDB_CLASSES
from lavx.datasets.jhmdb21 import PACKED_MASKS, Jhmdb21
from lavx.datasets.kinetics400 import Kinetics400
from lavx.video import VideoError, probe, write_video

SHARED = Path(__file__).parents[2] / "shared" / "data"
HEADER = "label,youtube_id,time_start,time_end,split\n"
CLASSES = kinetics400.class_names()
FOOTBALL = "passing American football (in game)"
MASSAGE = "massaging person's head"


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    file = tmp_path_factory.mktemp("content") / "video.mp4"
    write_video(file, np.random.default_rng(0).integers(0, 256, (4, 16, 24, 3), dtype=np.uint8), fps=8)
    return file.read_bytes()


@pytest.fixture
def tree(tmp_path, content):
    """Writes files below a folder: videos by name, or text; returns the folder."""

    def plant(*videos, empty=(), broken=(), **texts):
        for name in videos:
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        for name in empty:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        for name in broken:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"no video" * 99)
        for name, text in texts.items():
            (tmp_path / name.replace("__", "/").replace("_csv", ".csv").replace("_txt", ".txt")).write_text(text)
        return tmp_path

    return plant


def labels(dataset):
    return {
        video.path.stem: None if video.label is None else dataset.classes[video.label]
        for video in dataset.videos()
    }


# --- what they share ---------------------------------------------------------------------------------------------


def test_class_names_of_kinetics_are_found_however_a_folder_is_called():
    names = layouts.ClassNames(CLASSES, "Kinetics 400")
    for index, name in enumerate(CLASSES):
        for written in (
            name,
            name.replace(" ", "_"),
            name.upper(),
            name.replace(" ", "_").translate(str.maketrans("", "", "()'")),
        ):
            assert names.find(written) == index


def test_a_label_is_a_name_or_an_index():
    names = layouts.ClassNames(("a b", "c"), "mine")
    assert [names.label(text, "x") for text in ("a b", " A_B ", "c", "1")] == [0, 0, 1, 1]
    with pytest.raises(
        ValueError, match=r"list, line 3: 'a bb' is neither a class of mine .* 0 to 1\. Did you mean 'a b'\?"
    ):
        names.label("a bb", "list, line 3")
    with pytest.raises(ValueError, match="'2' is neither"):
        names.label("2", "x")
    assert names.find("1") is None, "a folder named by a number is no label"


@pytest.mark.parametrize(
    ("names", "message"), [((), "one or more different names, got none"), (("a", "b", "a"), "got \\['a'\\]")]
)
def test_class_names_must_differ(names, message):
    with pytest.raises(ValueError, match=message):
        layouts.ClassNames(names, "x")


def test_names_that_only_differ_in_signs_are_told_apart():
    names = layouts.ClassNames(("a-b", "a b"), "x")
    assert (names.find("a-b"), names.find("a b"), names.find("a_b")) == (0, 1, None)


def test_videos_are_found_through_links_and_once_where_links_lead_in_circles(tree, tmp_path):
    root = tree("b/x.mp4", "a/y.AVI", "a/.hidden.mp4", ".trash/z.mp4", "a/notes.txt")
    (root / "a" / "circle").symlink_to(root)
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    elsewhere.mkdir()
    (elsewhere / "w.mp4").touch()
    (root / "linked").symlink_to(elsewhere)
    found = [path.relative_to(root).as_posix() for path in layouts.find_videos(root)]
    assert found == ["a/y.AVI", "b/x.mp4", "linked/w.mp4"]


def test_ids_differ_where_names_do_not():
    root = Path("/r")
    paths = [root / name for name in ("a/b.mp4", "a/b.avi", "a__b.mp4", "c.mp4")]
    assert list(layouts.video_ids(root, paths).values()) == ["a__b", "a__b.avi", "a__b.mp4", "c"]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("l.csv", "path,label\na b.mp4,\"x, y\"\n\nc.mp4,\n", [(2, "a b.mp4", "x, y"), (4, "c.mp4", None)]),
        ("l.csv", "\ufeffpath,label\na.mp4,1\n", [(2, "a.mp4", "1")]),
        ("l.csv", "id,label,path\n7,x,a.mp4\n", [(2, "a.mp4", "x")]),
        ("l.csv", "a.mp4, 3\nb.mp4, 4\n", [(1, "a.mp4", "3"), (2, "b.mp4", "4")]),
        ("l.csv", "a.mp4 3\n", [(1, "a.mp4", "3")]),
        ("l.csv", "path\na.mp4\n", [(2, "a.mp4", None)]),
        ("l.txt", "a,b.mp4 3\r\nc d.mp4 4\r\n", [(1, "a,b.mp4", "3"), (2, "c d.mp4", "4")]),
        ("l.txt", "# comment\nfolder_a 0 299 7\nb 250 8\n", [(2, "folder_a", "7"), (3, "b", "8")]),
        ("l.txt", "a.mp4\nb.mp4\n", [(1, "a.mp4", None), (2, "b.mp4", None)]),
        ("l.txt", "a.mp4,golf\n", [(1, "a.mp4", "golf")]),
    ],
)  # fmt: skip
def test_lists_are_read_as_people_write_them(tmp_path, name, text, expected):
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert [(e.line, e.names[0], e.label) for e in layouts.read_list(tmp_path / name)] == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a.mp4,x, y\n", "line 1: expected path,label, got 3 values: .* double quotes"),
        (b"path,label\n,x\n", "line 2: expected path,label, got no path"),
        ("path,label\na.mp4,x\n".encode("utf-16"), r"l\.csv: not text in UTF-8 \(it holds a null byte\)"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, data, message):
    (tmp_path / "l.csv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        layouts.read_list(tmp_path / "l.csv")


# --- Kinetics 400 ------------------------------------------------------------------------------------------------

OFFICIAL = (
    HEADER
    + f'"{FOOTBALL}",-a_B-c_d_12,5,15,val\n'
    + f"{MASSAGE},___________,120,130,val\n"
    + "abseiling,0347ZoDXyP0,95,105,val\n"
    + "abseiling,0347zodxyp0,95,105,val\n"
    + "yoga,zzzzzzzzzzz,1,11,val\n"
)
VIDEOS = ("-a_B-c_d_12_000005_000015", "____________000120_000130", "0347ZoDXyP0_000095_000105")


@pytest.mark.parametrize(
    "folders",
    [
        ("", "", ""),
        ("val/", "val/", "val/"),
        (f"{FOOTBALL}/", f"{MASSAGE}/", "abseiling/"),
        ("val/passing_american_football_in_game/", "val/massaging_persons_head/", "val/Abseiling/"),
    ],
    ids=["flat", "part", "class", "part and class"],
)
def test_kinetics_by_the_official_csv(tree, caplog, folders):
    root = tree(*(f"{folder}{name}.mp4" for folder, name in zip(folders, VIDEOS, strict=True)), val_csv=OFFICIAL)
    dataset = Kinetics400(root)
    with caplog.at_level(logging.WARNING):
        assert labels(dataset) == dict(zip(VIDEOS, (FOOTBALL, MASSAGE, "abseiling"), strict=True))
    # YouTube's ids differ in case alone: 0347zodxyp0 is another video.
    assert dataset.inventory().missing == ["0347zodxyp0_000095_000105", "zzzzzzzzzzz_000001_000011"]
    assert (
        "kinetics400: 2 (0347zodxyp0_000095_000105, zzzzzzzzzzz_000001_000011) listed but not there" in caplog.text
    )


def test_kinetics_whose_files_are_called_by_the_id_alone_or_have_another_suffix(tree):
    root = tree("clips/-a_B-c_d_12.mkv", "clips/0347ZoDXyP0_95_105.webm")
    (root / "annotations").mkdir()
    (root / "annotations" / "val.csv").write_text(OFFICIAL)
    assert labels(Kinetics400(root)) == {"-a_B-c_d_12": FOOTBALL, "0347ZoDXyP0_95_105": "abseiling"}


def test_kinetics_takes_the_part_asked_for(tree):
    train = HEADER + "yoga,aaaaaaaaaaa,0,10,train\nyoga,bbbbbbbbbbb,0,10,train\n"
    val = HEADER.replace(",split", "") + "zumba,ccccccccccc,0,10\n"  # the part is in the file's name alone
    test = "youtube_id,time_start,time_end,split\nddddddddddd,0,10,test\n"
    root = tree(*(f"{i * 11}_000000_000010.mp4" for i in "acd"), train_csv=train, val_csv=val, test_csv=test)
    part = {p: Kinetics400(root, part=p) for p in ("train", "val", "test", None)}
    assert labels(part["val"]) == {"ccccccccccc_000000_000010": "zumba"}
    assert part["val"].inventory().missing == []
    assert part["train"].inventory().missing == ["bbbbbbbbbbb_000000_000010"]
    assert labels(part["test"]) == {"ddddddddddd_000000_000010": None}
    assert len(part[None].videos()) == 3


def test_kinetics_in_class_folders_needs_no_list(tree):
    root = tree(
        "videos_val/air_drumming/a.mp4",
        "videos_val/passing American football (in game)/b.mp4",
        "videos_train/yoga/c.mp4",
        "videos_val/training_dog/d.mp4",  # a class, though it sounds like a part
        "demo.mp4",
    )
    assert labels(Kinetics400(root)) == {"a": "air drumming", "b": FOOTBALL, "d": "training dog", "demo": None}
    assert Kinetics400(root).inventory().left_out == {"part train, not val": ["videos_train__yoga__c"]}
    assert labels(Kinetics400(root / "videos_train" / "yoga")) == {"c": "yoga"}
    assert [video.id for video in Kinetics400(root).videos()][1] == "videos_val__air_drumming__a"


def test_kinetics_by_mmaction2_s_list(tree, caplog):
    text = "0wR5jVB-WPk_000417_000427.mp4 0\nyoga/x y.mp4 399\ngone.mp4 12\n"
    root = tree("videos_val/0wR5jVB-WPk_000417_000427.mp4", "videos_val/yoga/x y.mp4", "videos_val/unlisted.mp4",
                kinetics400_val_list_videos_txt=text, kinetics400_train_list_videos_txt="other.mp4 3\n",
                readme_txt="Kinetics, see\nhttp://x")  # fmt: skip
    dataset = Kinetics400(root)
    with caplog.at_level(logging.WARNING):
        assert labels(dataset) == {"0wR5jVB-WPk_000417_000427": CLASSES[0], "x y": CLASSES[399]}
    assert dataset.inventory().missing == ["gone.mp4"]
    assert "1 (videos_val__unlisted) left out: in no list and no class folder" in caplog.text


def test_kinetics_by_a_list_of_one_s_own_keeps_its_order(tree):
    root = tree("z.mp4", "train/a.mp4", "b.mp4", my_test_txt="z.mp4 1\na.mp4 0\n")
    assert list(labels(Kinetics400(root, annotations=root / "my_test.txt"))) == ["z", "a"]


def test_kinetics_leaves_out_the_unreadable(tree, caplog):
    root = tree("yoga/a.mp4", empty=["yoga/b.mp4"], broken=["yoga/c.mp4"])
    assert list(labels(Kinetics400(root))) == ["a", "c"]
    assert "1 (yoga__b) unreadable, left out" in caplog.text
    inventory = Kinetics400(root, check=True).inventory()
    assert [video.id for video in inventory.videos] == ["yoga__a"]
    assert "empty" in inventory.unreadable["yoga__b"] and "cannot be opened" in inventory.unreadable["yoga__c"]


def test_kinetics_without_any_label_says_so(tree, caplog):
    assert labels(Kinetics400(tree("a.mp4"))) == {"a": None}
    assert "no video has a label" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": None}, r"(?s)Kinetics 400 is not part of lavx.*DeepMind.*450 GB.*dataset.root=/path"),
        ({"root": "/nowhere"}, r"dataset.root=/nowhere is not a folder.*DeepMind"),
        ({"annotations": "/nowhere.csv"}, "dataset.annotations=/nowhere.csv is not a file"),
        ({"part": "validation"}, "dataset.part must be train, val, test or null for all, got 'validation'"),
    ],
)
def test_kinetics_refuses(tmp_path, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Kinetics400(**({"root": tmp_path} | arguments))


def test_kinetics_with_nothing_to_use_says_why(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no video .* nor do its subfolders"):
        Kinetics400(tmp_path).videos()
    root = tree("train/yoga/a.mp4", list_txt="b.mp4 1\n")
    with pytest.raises(
        FileNotFoundError, match=r"none to use: 1 \(train__yoga__a\): part train.*1 \(b.mp4\) of .*not there"
    ):
        Kinetics400(root).videos()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "yogaa,aaaaaaaaaaa,0,10,val\n", "val.csv, line 2: 'yogaa' is neither .* Did you mean 'yoga'"),
        (HEADER + "yoga,aaaaaaaaaaa,zero,10,val\n", "val.csv, line 2: expected label,youtube_id"),
        (HEADER + "yoga,aaaaaaaaaaa\n", "val.csv, line 2: expected label,youtube_id"),
        ("a.mp4,400\n", "val.csv, line 1: '400' is neither a class of Kinetics 400 nor an index from 0 to 399"),
    ],
)
def test_kinetics_refuses_a_list_with_errors(tree, text, message):
    with pytest.raises(ValueError, match=message):
        Kinetics400(tree("a.mp4", val_csv=text)).videos()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real labels are not here")
def test_kinetics_real_validation_list(tree):
    real = (SHARED / "labels" / "k400_val_ids_first_last_label.txt").read_text()
    first = real.split(maxsplit=1)[0]
    root = tree(f"{first}.mp4", kinetics400_val_list_videos_txt=real)
    dataset = Kinetics400(root)
    assert labels(dataset) == {first: "abseiling"}
    assert len(dataset.inventory().missing) == 19_876


# --- folds -------------------------------------------------------------------------------------------------------


def ids_labels_groups(n_classes=5, n_groups=20, n=4):
    names = [(c, g, i) for c in range(n_classes) for g in range(n_groups) for i in range(n)]
    return [f"{c}-{g}-{i}" for c, g, i in names], [c for c, _, _ in names], [g for _, g, _ in names]


def test_folds_keep_the_share_of_each_class_and_depend_on_the_seed_alone():
    ids, classes, _ = ids_labels_groups()
    drawn = folds.draw_folds(ids, classes, k=5, seed=3)
    table = np.zeros((5, 5), int)
    for name, label in zip(ids, classes, strict=True):
        table[drawn[name], label] += 1
    assert (table == 16).all()
    assert folds.draw_folds(ids[::-1], classes[::-1], k=5, seed=3) == drawn
    assert folds.draw_folds(ids, classes, k=5, seed=4) != drawn


def test_folds_by_group_keep_groups_whole():
    ids, classes, groups = ids_labels_groups()
    drawn = folds.draw_folds(ids, classes, k=5, seed=0, groups=groups)
    for group in set(groups):
        assert len({drawn[name] for name, g in zip(ids, groups, strict=True) if g == group}) == 1
    assert np.bincount(list(drawn.values())).tolist() == [80] * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 1}, "dataset.k must be >= 2, got 1"),
        ({"k": 9}, "dataset.k=9 folds cannot be made of 4 videos"),
        ({"k": 3, "groups": [0, 0, 1, 1]}, "dataset.k=3 folds cannot be made of 2 groups"),
        ({"k": 4}, "dataset.k=4 folds cannot be made of 4 videos: "),
    ],
)
def test_folds_that_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        folds.draw_folds(list("abcd"), [0, 0, 1, 1], seed=0, **arguments)


def test_folds_are_a_file_that_is_read_from_then_on(tmp_path):
    ids, classes, _ = ids_labels_groups()
    arguments = {"name": "x", "labels": classes, "k": 5, "seed": 0, "kind": "stratified"}
    drawn = folds.stored_folds(tmp_path / "new", ids=ids, **arguments)
    file = tmp_path / "new" / "x-stratified-k5-seed0-v1.csv"
    lines = file.read_text().splitlines()
    assert (
        lines[0].startswith("# lavx folds v1: x, stratified, k=5, seed=0, 400 videos") and lines[1] == "video,fold"
    )
    assert list(file.parent.iterdir()) == [file]
    file.write_text(file.read_text().replace("0-0-0,", "0-0-0,1"))  # somebody's own choice
    assert folds.stored_folds(tmp_path / "new", ids=ids, **arguments)["0-0-0"] == 10 + drawn["0-0-0"]
    with pytest.raises(ValueError, match=r"drawn from other videos: it does not know 1 \(new\) of 401.*Delete it"):
        folds.stored_folds(tmp_path / "new", ids=[*ids, "new"], **arguments)
    file.write_text("nonsense\n")
    with pytest.raises(ValueError, match="not a file of folds"):
        folds.stored_folds(tmp_path / "new", ids=ids, **arguments)


def test_folds_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write the folds to .*set dataset.splits"):
        folds.write_folds(tmp_path / "file" / "x.csv", {"a": 0}, "")


# --- EtriActivity3D ----------------------------------------------------------------------------------------------

ETRI = [f"A{a:03d}_P{p:03d}_G001_C{c:03d}" for a in (1, 55) for p in (1, 2, 50, 51, 99, 100) for c in (1, 8)]


def test_etri_names():
    recording = parse("A007_P050_G003_C008")
    assert (recording.action, recording.subject, recording.group, recording.camera) == (7, 50, 3, 8)
    assert recording.elderly and not parse("A007_P051_G003_C008").elderly
    for name in ("A056_P001_G001_C001", "A000_P001_G001_C001", "A001_P101_G001_C001", "A001_P001_G001", "x"):
        assert parse(name) is None


@pytest.fixture
def etri(tree, tmp_path):
    def make(**arguments):
        root = tree(*(f"{name[5:9]}/{name}.mp4" for name in ETRI), "other.mp4", "copy/A001_P001_G001_C001.mp4",
                    empty=["P003/a003_p003_g001_c001.MP4"])  # fmt: skip
        return EtriActivity3D(root, splits=tmp_path / "splits", **arguments)

    return make


def test_etri_reads_its_tree(etri, caplog):
    dataset = etri()
    videos = dataset.videos()
    assert [video.id for video in videos] == sorted(ETRI)
    assert len(dataset.classes) == 55
    assert {dataset.classes[video.label] for video in videos} == {"eating food with a fork", "lying down"}
    assert dataset.recording(videos[0]).camera == 1
    assert "1 (other.mp4) left out: not a name" in caplog.text
    assert "left out: a second file of the same name" in caplog.text
    assert "1 (A003_P003_G001_C001) unreadable" in caplog.text
    assert dataset.ground_truth(videos[0]) is None


@pytest.mark.parametrize("kind", ["stratified", "by_subject"])
def test_etri_folds_part_the_videos(etri, kind):
    held_out = [etri(fold=fold, k=2, split_kind=kind).videos() for fold in range(2)]
    trained = [etri(fold=fold, k=2, split_kind=kind, part="train").videos() for fold in range(2)]
    assert held_out[0] == trained[1] and held_out[1] == trained[0]
    assert sorted(video.id for part in held_out for video in part) == sorted(ETRI)
    dataset = etri(k=2, split_kind=kind)
    assert all(dataset.fold_of(video) == fold for fold in range(2) for video in held_out[fold])
    subjects = [{dataset.recording(video).subject for video in part} for part in held_out]
    assert (kind == "by_subject") == subjects[0].isdisjoint(subjects[1])


def test_etri_ages_share_the_folds(etri):
    elderly, young = (etri(fold=0, k=2, age=age).videos() for age in ("elderly", "young"))
    assert sorted([*elderly, *young], key=lambda v: v.id) == etri(fold=0, k=2).videos()
    assert {etri().recording(video).elderly for video in elderly} == {True}


def test_etri_counts_what_the_fold_has_and_the_disk_has_not(etri, tmp_path):
    whole = etri(fold=0, k=2).videos()
    whole[0].path.unlink()
    (tmp_path / "copy" / "A001_P001_G001_C001.mp4").unlink()
    again = EtriActivity3D(tmp_path, splits=tmp_path / "splits", fold=0, k=2)
    assert again.inventory().missing == [whole[0].id] and again.videos() == whole[1:]


def authors_lists(folder, **changes):
    folder.mkdir(exist_ok=True)
    for fold in range(5):
        lines = [f"{name}.mp4 {int(name[1:4]) - 1}\n" for name in ETRI[fold::5]]
        lines += ["A002_P001_G001_C001.mp4 1\n"] if fold == 0 else []
        text = changes.get(f"k{fold + 1}", "".join(lines))
        if fold % 2:
            with gzip.open(folder / f"EtriActivity3D_test_k{fold + 1}_video.txt.gz", "wt") as stream:
                stream.write(text)
        else:
            (folder / f"EtriActivity3D_test_k{fold + 1}_video.txt").write_text(text)
    return folder


def test_etri_by_the_authors_lists(etri, tmp_path):
    lists = authors_lists(tmp_path / "lists")
    dataset = etri(fold=0, split_kind="authors", authors_lists=lists)
    assert [video.id for video in dataset.videos()] == sorted(ETRI[::5])
    assert dataset.inventory().missing == ["A002_P001_G001_C001"]
    assert "A003_P003_G001_C001" in dataset.inventory().left_out["in no fold"]
    assert dataset.fold_of(Video(ETRI[3], Path(), 0)) == 3
    with pytest.raises(ValueError, match=r"A003_P003_G001_C001 is in none of the 5 folds \(authors\)"):
        dataset.fold_of(Video("A003_P003_G001_C001", Path(), 2))


@pytest.mark.parametrize(
    ("k1", "message"),
    [
        (f"{ETRI[0]}.mp4 7\n", "k1_video.txt, line 1: expected a video and its label"),
        (f"{ETRI[0]}.mp4\n", "line 1: expected a video and its label"),
        (f"{ETRI[0]}.mp4 0\n" * 2, f"{ETRI[0]}\\) more than once"),
        (f"{ETRI[1]}.mp4 0\n", f"{ETRI[1]} is in list 1 too"),
    ],
)
def test_etri_refuses_lists_with_errors(etri, tmp_path, k1, message):
    with pytest.raises(ValueError, match=message):
        etri(fold=0, split_kind="authors", authors_lists=authors_lists(tmp_path / "lists", k1=k1)).videos()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": None}, r"(?s)EtriActivity3D is not part of lavx.*ai4robot.*296 GB.*dataset.root=/path"),
        ({"split_kind": "random"}, "split_kind must be one of stratified, by_subject, authors, got 'random'"),
        ({"k": 1}, "dataset.k must be >= 2, got 1"),
        ({"fold": 5}, "dataset.fold must be from 0 to 4, or null for all videos, got 5"),
        ({"part": "val"}, "dataset.part must be train or test, got 'val'"),
        ({"age": "old"}, "dataset.age must be elderly, young or null for both, got 'old'"),
        ({"split_kind": "authors"}, "needs dataset.authors_lists"),
    ],
)
def test_etri_refuses(tmp_path, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        EtriActivity3D(**({"root": tmp_path} | arguments))


def test_etri_with_nothing_to_use_says_why(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match="no video with a name such as A001_P001_G001_C001.mp4.*296 GB"):
        EtriActivity3D(tmp_path).videos()
    root = tree("A001_P051_G001_C001.mp4")
    with pytest.raises(FileNotFoundError, match="no video of fold None, part test, age elderly"):
        EtriActivity3D(root, age="elderly").videos()
    dataset = EtriActivity3D(root, split_kind="authors", fold=0, authors_lists=root / "gone")
    with pytest.raises(FileNotFoundError, match="dataset.authors_lists=.*gone is not a folder"):
        dataset.videos()
    (root / "gone").mkdir()
    with pytest.raises(ValueError, match=r"holds the lists \[\], but dataset.k=5 needs 1 to 5"):
        dataset.videos()
    with pytest.raises(ValueError, match="'x' is not a name of EtriActivity3D"):
        dataset.recording(Video("x", Path(), 0))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the authors' lists are not here")
def test_etri_real_lists_part_the_dataset_and_every_subject_is_on_both_sides(tree):
    root = tree("A018_P064_G001_C007.mp4")
    dataset = EtriActivity3D(root, fold=0, split_kind="authors", authors_lists=SHARED / "labels")
    assert [video.label for video in dataset.videos()] == [17]
    assert np.bincount(list(dataset.folds.values())).tolist() == [22_524] * 5
    for fold in range(5):
        assert len({parse(name).subject for name, f in dataset.folds.items() if f == fold}) == 100


# --- JHMDB-21 ----------------------------------------------------------------------------------------------------


def jhmdb_splits(root):
    (root / "splits").mkdir()
    for split in (1, 2, 3):
        for name in JHMDB_CLASSES:
            lines = ["v@1 (x)_0.avi 1\n", "w_1.avi 2\n", "gone_2.avi 2\n", "never_3.avi 0\n"]
            (root / "splits" / f"{name}_test_split{split}.txt").write_text("".join(lines))


@pytest.fixture
def jhmdb(tree):
    def make(folder="ReCompress_Videos", suffix=".avi", **arguments):
        names = [f"{folder}/{name}/{video}" for name in ("golf", "sit") for video in ("v@1 (x)_0", "w_1", "extra")]
        root = tree(*(name + suffix for name in names))
        jhmdb_splits(root)
        return root, Jhmdb21(root, **arguments)

    return make


MASK = np.random.default_rng(1).random((4, 16, 24)) < 0.5


def puppet(root, name, mask):
    folder = root / "puppet_mask" / name
    folder.mkdir(parents=True)
    savemat(folder / "puppet_mask.mat", {"part_mask": np.moveaxis(mask, 0, -1).astype(np.uint8)})


@pytest.mark.parametrize(("folder", "suffix"), [("ReCompress_Videos", ".avi"), ("videos", ".mp4"), (".", ".avi")])
def test_jhmdb_reads_its_splits(jhmdb, folder, suffix):
    root, dataset = jhmdb(folder, suffix)
    assert [(video.id, dataset.classes[video.label]) for video in dataset.videos()] == [
        ("golf__w_1", "golf"),
        ("sit__w_1", "sit"),
    ]
    inventory = dataset.inventory()
    assert len(inventory.missing) == 19 * 2 + 2 and "golf/gone_2" in inventory.missing
    assert inventory.left_out == {"in no split": ["golf/extra", "sit/extra"]}
    assert [video.path.stem for video in Jhmdb21(root, part="train").videos()] == ["v@1 (x)_0"] * 2
    assert len(Jhmdb21(root, split=3, part="all").videos()) == 4
    assert dataset.ground_truth(dataset.videos()[0]) is None


def test_jhmdb_classes_can_be_chosen_and_label_in_that_order(jhmdb):
    _, dataset = jhmdb(classes=["sit", "golf"])
    assert dataset.classes == ("sit", "golf")
    assert [(video.id, video.label) for video in dataset.videos()] == [("sit__w_1", 0), ("golf__w_1", 1)]


def test_jhmdb_published_masks(jhmdb):
    root, dataset = jhmdb()
    puppet(root, "golf/w_1", MASK)
    golf, sit = dataset.videos()
    truth = dataset.ground_truth(golf)
    assert truth.dtype == bool and (truth == MASK).all()
    with pytest.raises(VideoError, match=r"its mask .*puppet_mask/sit/w_1/puppet_mask.mat is not there"):
        dataset.ground_truth(sit)
    (root / "puppet_mask/golf/w_1/puppet_mask.mat").write_bytes(b"no mat file" * 50)
    with pytest.raises(VideoError, match="cannot be read"):
        dataset.ground_truth(golf)


def test_jhmdb_masks_are_brought_to_the_size_of_the_video(jhmdb):
    root, dataset = jhmdb()
    puppet(root, "golf/w_1", MASK.repeat(2, axis=1).repeat(3, axis=2))
    assert (dataset.ground_truth(dataset.videos()[0]) == MASK).all()


def test_jhmdb_mask_of_another_length_is_refused(jhmdb):
    root, dataset = jhmdb()
    puppet(root, "golf/w_1", MASK[:1])
    with pytest.raises(VideoError, match="has 4 frames, but its mask has 1"):
        dataset.ground_truth(dataset.videos()[0])


def test_jhmdb_packed_masks(jhmdb):
    root, dataset = jhmdb()
    mask = np.random.default_rng(1).random((4, 240, 320)) < 0.5
    np.savez(root / PACKED_MASKS, **{"golf/w_1": np.packbits(mask, axis=2)})
    golf, sit = dataset.videos()
    truth = dataset.ground_truth(golf)
    assert truth.shape == (4, 16, 24) and (truth == mask[:, 7::15, 6::13][:, :16, :24]).mean() > 0.4
    rows, columns = (np.arange(16) * 15 + 7, ((np.arange(24) + 0.5) * 320 / 24).astype(int))
    assert (truth == mask[:, rows][:, :, columns]).all()
    with pytest.raises(VideoError, match="has no mask of sit/w_1"):
        dataset.ground_truth(sit)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": None}, r"(?s)JHMDB-21 is not part of lavx.*jhmdb.is.tue.mpg.de.*dataset.root=/path"),
        ({"split": 4}, "dataset.split must be 1, 2 or 3, got 4"),
        ({"part": "val"}, "dataset.part must be train, test, all, got 'val'"),
        ({"classes": ["golff"]}, "dataset.classes: 'golff' is neither .* Did you mean 'golf'"),
        ({"classes": "golf"}, r"must be a list such as \[golf,pullup\], got 'golf'"),
        ({"classes": ["golf", "golf"]}, r"different names, got \['golf'\]"),
        ({}, "has no class folders"),
    ],
)
def test_jhmdb_refuses(tmp_path, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Jhmdb21(**({"root": tmp_path} | arguments))


def test_jhmdb_without_its_splits_or_videos_says_so(tree):
    root = tree("videos/golf/a.mp4")
    with pytest.raises(FileNotFoundError, match="splits is not there"):
        Jhmdb21(root)
    jhmdb_splits(root)
    with pytest.raises(FileNotFoundError, match="holds none of the 42 videos of split 1, part test"):
        Jhmdb21(root).videos()
    (root / "splits" / "golf_test_split1.txt").write_text("a.avi 3\n")
    with pytest.raises(ValueError, match=r"golf_test_split1.txt, line 1: expected a video and 1 \(train\)"):
        Jhmdb21(root).videos()
    (root / "splits" / "golf_test_split1.txt").unlink()
    with pytest.raises(FileNotFoundError, match="golf_test_split1.txt is not there; each class has such a file"):
        Jhmdb21(root).videos()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not here")
def test_jhmdb_real(caplog):
    root = SHARED / "jhmdb21"
    sizes = [[len(Jhmdb21(root, split, part).videos()) for part in ("train", "test")] for split in (1, 2, 3)]
    assert sizes[0] == [660, 268] and all(sum(pair) == 928 for pair in sizes) and not caplog.text
    dataset = Jhmdb21(root)
    video = next(v for v in dataset.videos() if dataset.classes[v.label] == "golf")
    truth = dataset.ground_truth(video)
    info = probe(video.path)
    assert truth.shape == (info.n_frames, info.height, info.width) and 0.01 < truth.mean() < 0.6
    boxes = [line.split(",") for line in (root / "boxes.csv").read_text().splitlines()]
    pixels = [int(row[-1]) for row in boxes if row[0] == f"golf/{video.path.stem}"]
    assert truth.sum(axis=(1, 2)).tolist() == pixels


# --- any folder --------------------------------------------------------------------------------------------------


def test_folder_has_the_classes_of_kinetics_by_default(tree):
    dataset = Folder(tree("a.mp4", "sub/b.mov", "yoga/c.mp4"))
    assert dataset.classes == CLASSES
    assert labels(dataset) == {"a": None, "b": None, "c": "yoga"}
    assert dataset.ground_truth(dataset.videos()[0]) is None


def test_folder_classes_can_be_its_subfolders_a_file_or_a_list(tree):
    root = tree("x/a.mp4", "y/b.mp4", names_txt="y\n\n x \n")
    assert labels(Folder(root, classes="subfolders")) == {"a": "x", "b": "y"}
    from_file = Folder(root, classes=root / "names.txt")
    assert from_file.classes == ("y", "x") and [video.label for video in from_file.videos()] == [1, 0]
    assert Folder(root, classes=["z", "x"]).classes == ("z", "x")


def test_folder_by_a_list(tree, tmp_path, caplog):
    root = tree(
        "clips/b.mp4", "clips/a.mp4", "clips/c.mp4", list_csv="path,label\nb.mp4,yoga\nclips/a.mp4,\ngone.mp4,0\n"
    )
    for dataset in (
        Folder(root / "list.csv"),
        Folder(root, root / "list.csv"),
        Folder(root / "clips", root / "list.csv"),
    ):
        assert labels(dataset) == {"b": "yoga", "a": None}
        assert list(labels(dataset)) == ["b", "a"]
    assert "folder: 1 (gone.mp4) listed but not there" in caplog.text


def test_folder_can_be_one_video(tree):
    assert [video.id for video in Folder(tree("a.mp4", "b.mp4") / "b.mp4").videos()] == ["b"]


def test_folder_leaves_out_empty_files(tree, caplog):
    assert labels(Folder(tree("a.mp4", empty=["b.mp4"]))) == {"a": None}
    assert "1 (b) unreadable" in caplog.text


def test_folder_leaves_out_links_that_lead_to_no_file(tree):
    root = tree("a.mp4")
    (root / "nowhere.mp4").symlink_to(root / "gone.mp4")
    (root / "loop.mp4").symlink_to(root / "loop.mp4")
    inventory = Folder(root).inventory()
    assert [video.id for video in inventory.videos] == ["a"]
    assert inventory.unreadable["nowhere"] == f"{root}/nowhere.mp4: No such file or directory"
    assert inventory.unreadable["loop"].startswith(f"{root}/loop.mp4: Too many levels of symbolic links")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"root": None}, "dataset.root is not set. Point to a folder of videos, a CSV"),
        ({"root": "/nowhere/x"}, "dataset.root=/nowhere/x is not there"),
        ({"annotations": "/nowhere.csv"}, "dataset.annotations=/nowhere.csv is not a file"),
        ({"classes": "kinetics"}, "dataset.classes=kinetics is neither kinetics400, subfolders"),
        ({"classes": "subfolders"}, "no video lies in a subfolder"),
    ],
)
def test_folder_refuses(tmp_path, arguments, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        Folder(**({"root": tmp_path} | arguments))


def test_folder_with_nothing_to_use_says_why(tree, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset.root=.* holds no video that is there \(.mp4"):
        Folder(tmp_path).videos()
    root = tree(list_csv="a.mp4,1\nb.mp4,1\n", wrong_csv="a.mp4,surfing\n")
    with pytest.raises(
        FileNotFoundError, match="list.csv lists no video that is there .* Not there: 2 .a.mp4, b.mp4."
    ):
        Folder(root / "list.csv").videos()
    with pytest.raises(ValueError, match="wrong.csv, line 1: 'surfing' is neither a class of dataset.classes"):
        Folder(root / "wrong.csv").videos()


@pytest.mark.parametrize("kind", [Kinetics400, EtriActivity3D])
@pytest.mark.parametrize("check", ["no", "false", 0, None])
def test_check_is_true_or_false(tmp_path, kind, check):
    with pytest.raises(ValueError, match="check must be true or false, got"):
        kind(tmp_path, check=check)
