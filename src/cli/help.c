/* SPDX-License-Identifier: Apache-2.0 */
/* What `busbar VERB --help` says beside a verb's options, for verbs that need more than a line. */
#include <string.h>

#include "cli/cli.h"

#define TERMS \
    "What it needs\n" \
    "  --chips N              chips of one kind; 1 if nothing is said\n" \
    "  --chip KIND[:N],...    up to four alternatives, of which one is enough\n" \
    "  --memory MIB, --network, --env NAME[=VALUE], --cwd DIR\n" \
    "What it brings and leaves\n" \
    "  --in [NAME=]PATH       a file, or all files of a folder, to lie in its folder; may be given again\n" \
    "  --out PATH             a file, folder or pattern in its folder, kept when it is over: busbar job " \
    "cp\n" \
    "Where it may run\n" \
    "  --site NAME, --jurisdiction CODE, --vendor NAME\n" \
    "  --near DATA            where a job ran last (its id), where a blob is (its SHA-256), or a site\n" \
    "  --isolation LEVEL      only where it is kept apart so strictly: process, namespace, cgroup\n" \
    "What rules are told of it\n" \
    "  --data-class CLASS     what its data are: personal, public, as the rules in force call it\n" \
    "  --data-home CODE       the jurisdiction that they belong to; -: nobody knows; else that of the site " \
    "where\n" \
    "                         they lie\n" \
    "  --kind KIND            batch or training\n" \
    "When\n" \
    "  --time TIME            it is stopped after that: 90s, 45m, 36h, 3d, or as Slurm has it: MM, MM:SS,\n" \
    "                         HH:MM:SS, D-HH:MM:SS\n" \
    "  --deadline WHEN        by then it should be over: 2026-12-31T18:00:00Z, or from now: +2h\n" \
    "  --defer WHEN           it may wait until then for power that is cheap or green\n" \
    "  --green                the same as --defer +24h\n" \
    "  --after [afterok:|afterany:|afternotok:]JOB,...\n" \
    "  --array A-B[%C]        once for each index, C at a time: BUSBAR_ARRAY_INDEX, SLURM_ARRAY_TASK_ID\n" \
    "  --priority N           -100 to 100, among the jobs of the same tenant\n" \
    "If it can be stopped\n" \
    "  --interruptible        it may be stopped for others, and is started again\n" \
    "  --checkpoint-every TIME, --checkpoint-cost TIME\n" \
    "                         how often it writes a checkpoint, and what one and a start from it cost\n" \
    "  --on-disconnect WHAT   stop (or nothing said): where its site has not heard of the hub for the time " \
    "of a\n" \
    "                         lease it is stopped, and placed again; finish: it runs to its end there\n" \
    "Nothing yet\n" \
    "  --dry-run              submit nothing: tell where it could run, at what price, and what is in its " \
    "way\n"

static const struct {
    const char *verb, *text;
} helps[] = {
    {"deploy", "Without --site it is served by the hub's own machine, whose name is `local`.\n"
               "  --site NAME,...        sites that replicas may be at, as evenly as they have room\n"
               "  --near PLACE           those of a region or jurisdiction, or within 30 ms of a site\n"
               "  --replicas N|MIN:MAX   so many, or as many as requests ask for; MIN may be 0; 1 if nothing "
               "is said\n"
               "  --chips N              of one node, for each replica; as many as hold the model\n"
               "  --chip KIND            of this kind only; else kinds that there is a recipe for\n"
               "  --slots N              requests that a replica answers at a time; 4\n"
               "  --hold TIME            one goes when it was too many for so long; 5m\n"
               "  --idle TIME            with MIN 0 all go when nothing was asked for so long; 5m\n"
               "  --cluster              one model, held by several chips together (docs/clusters.md)\n"
               "  --members N            chips of the cluster, 15 at most; or\n"
               "  --on KIND:N,...        so many of each kind\n"
               "  --memory-mib M         what each may use of its memory; nine tenths at most\n"
               "  --corridors            members may be at several sites\n"
               "\nExamples\n"
               "  busbar deploy stories\n"
               "  busbar deploy stories --site north,south --replicas 4\n"
               "  busbar deploy large --near europe --replicas 0:8 --chip h100 --chips 2\n"
               "  busbar deploy large --cluster --on ascend910b:4,mtt-s4000:2 --site north\n"},
    {"accept",
     "SITE or MODEL: its replicas are checked now, and what was found is printed; without either, what is "
     "known.\n"
     "  --quick          4 prompts in place of 8\n"
     "  --lift           a model that failed twice at a site may be tried there again\n"
     "  --site SITE      of --lift: at this site only\n"
     "\nExamples\n"
     "  busbar accept stories\n"
     "  busbar accept north --quick\n"
     "  busbar accept stories --lift --site north\n"},
    {"witness", "It keeps its key and what it saw in --dir; --key is the log's. Either it looks at a log, "
                "once or every so many\n"
                "seconds, or with --listen it is asked by the log's hub (up --witness), by the protocol C2SP "
                "tlog-witness.\n"
                "\nExamples\n"
                "  busbar witness http://hub:7070 --key VKEY --dir w --every 60\n"
                "  busbar witness --key VKEY --dir w --listen 0.0.0.0:7090\n"
                "  busbar up --witness $(cat w/vkey)=http://witness:7090\n"},
    {"plan",
     "MODEL is one of data/models.yaml, or a GGUF file. No hub is asked (docs/planner.md).\n"
     "  --on CHIP:N[@SITE],... chips of data/chips.yaml, in nodes of 8 unless fewer are connected\n"
     "  --goal GOALS           throughput (or nothing said) or latency; tpot=TIME, ttft=TIME at most, as "
     "50ms or 2s\n"
     "  --quant FORMAT         of the weights, such as fp8 or q4_k_m; bf16\n"
     "  --kv BITS              8 or 16 for a number of keys and values; 16\n"
     "  --context N            tokens that a request holds; 4096, or as many as the model can\n"
     "  --prompt N             of them its prompt; 1024\n"
     "  --batch N              requests in one step, at most; 64. With experts spread: of each attention "
     "group\n"
     "  --groups N             chips that split a layer between them, at most; 8. 1: experts are not spread "
     "either\n"
     "  --draft N:GAINED       N tokens are guessed in a step, GAINED kept of them and one, as 1:1.7\n"
     "  --corridors            a replica may have stages at several sites\n"
     "  --overlap              the engine has as many steps under way as there are stages\n"
     "  --reference CHIP       which the whole is compared with; h100\n"
     "  --efficiency SHARES    delivered of a data sheet: "
     "compute=0.9,attention=0.7,bandwidth=0.8,memory=0.9,link=0.9\n"
     "  --measured FILE        what clusters were measured to do, and so what their chips deliver "
     "(docs/planner.md)\n"
     "  --chips FILE, --models FILE\n"
     "                         catalogues of one's own\n"
     "\nExamples\n"
     "  busbar plan llama-3.1-70b --on ascend910b:16,mtt-s4000:8 --goal tpot=50ms\n"
     "  busbar plan qwen3-32b --on mtt-s4000:4 --goal latency --quant q4_0 --groups 1\n"},
    {"model catalogue", "Families and models are those of data/recipes.yaml and data/models.yaml; sizes are "
                        "of the weights alone.\n"
                        "\nExamples\n"
                        "  busbar model catalogue\n"
                        "  busbar model catalogue qwen3 --format int8\n"},
    {"model where",
     "With --network a file's sites, and MODEL is one of data/models.yaml or a family; else the hub's, and "
     "MODEL "
     "was added there\n"
     "(docs/recipes.md).\n"
     "  --rules FILE           leave out where these rules let nobody use it\n"
     "  --format F             of the weights, such as fp8 or q4_k_m; else the first that there is a recipe "
     "for\n"
     "  --context N            tokens that a request holds; 4096\n"
     "  --untested             take recipes that nobody tested as well\n"
     "  --recipes FILE         one's own; also --chips, --models, --efficiency as of busbar plan\n"
     "\nExamples\n"
     "  busbar model where qwen2.5-72b --network data/network/illustrative.yaml\n"
     "  busbar model where stories\n"},
    {"model without", "MODELs are of data/models.yaml, or families; all families if none is named. The "
                      "network is the illustrative "
                      "one unless another\n"
                      "is named. The simulator places replicas, and the loss is played on a copy of its core "
                      "(docs/recipes.md).\n"
                      "  --share PERCENT        of all chips, divided equally between the models; 30\n"
                      "  --replicas N           of each model, instead\n"
                      "  --rules FILE, --format F, --context N, --untested, --recipes FILE\n"
                      "                         as of busbar model where\n"
                      "\nExamples\n"
                      "  busbar model without vendor=nvidia\n"
                      "  busbar model without origin=US deepseek-v3 qwen3-32b --replicas 20 --json\n"},
    {"predictions",
     "FILE: figures as in data/predictions.yaml, which is taken if none is given. Each is of one "
     "group of equal chips with a\n"
     "whole model, or with its experts spread over them: tokens a second and chip of a batch, or "
     "milliseconds to "
     "the first token.\n"},
    {"key budget",
     "AMOUNT in the tenant's currency, such as 12.50; none: take the budget away. A key has one that is hard "
     "and one that is soft.\n"
     "  --per PERIOD           day, week (from Monday on) or month, in UTC, after which it begins anew; "
     "ever\n"
     "  --soft                 nothing is refused: the tenant's webhook is told (busbar webhook set)\n"
     "  --at PERCENT           tell at this part of it; 50, 80 and 100 if nothing is said\n"
     "\nExamples\n"
     "  busbar key budget a1b2c3d4 20 --per day\n"
     "  busbar key budget a1b2c3d4 500 --per month --soft\n"},
    {"project budget",
     "AMOUNT in the tenant's currency, such as 12.50; none: take the budget away. A project has one that is "
     "hard and one that is soft.\n"
     "  --per PERIOD           day, week (from Monday on) or month, in UTC, after which it begins anew; "
     "ever\n"
     "  --soft                 nothing is refused: the tenant's webhook is told (busbar webhook set)\n"
     "  --at PERCENT           tell at this part of it; 50, 80 and 100 if nothing is said\n"
     "\nExamples\n"
     "  busbar project budget search 20 --per day\n"
     "  busbar project budget search 500 --per month --soft\n"},
    {"tenant budget",
     "AMOUNT in the tenant's currency, such as 12.50; none: take the budget away. Without an option it is "
     "the whole budget, which never begins anew.\n"
     "  --per PERIOD           day, week (from Monday on) or month, in UTC, after which it begins anew; "
     "ever\n"
     "  --soft                 nothing is refused: the tenant's webhook is told (busbar webhook set)\n"
     "  --at PERCENT           tell at this part of it; 50, 80 and 100 if nothing is said\n"
     "\nExamples\n"
     "  busbar tenant budget acme 20 --per day\n"
     "  busbar tenant budget acme 500 --per month --soft\n"},
    {"run", TERMS "\nExamples\n"
                  "  busbar run -- python3 train.py\n"
                  "  busbar run --chip h100:4,mi300x:8 --time 12h --name train -- ./train.sh\n"
                  "  busbar run --green --deadline +36h --detach -- ./nightly.sh\n"
                  "  busbar run --array 1-100%8 -- sh -c './part.sh $BUSBAR_ARRAY_INDEX'\n"},
    {"bench-chip", "Processors only, at a low priority, at most 10 seconds; accelerators are listed as not "
                   "measured. Each result is "
                   "checked;\n"
                   "exit status 1: one was wrong, and has no figure.\n"
                   "  --quick                at most 2 seconds\n"},
    {"submit", "FILE is a script that begins with #!, with what it needs in lines\n"
               "  #BUSBAR --option value     options of this verb\n"
               "  #SBATCH --option=value     Slurm's, as far as they have a meaning here; others are named "
               "and left out\n"
               "before its first command; or a job in YAML (docs/jobs.md); or - for standard input. Options "
               "given here\n"
               "prevail. The text travels with the job, at most 256 KiB.\n\n" TERMS "\nExamples\n"
               "  busbar submit train.sh\n"
               "  busbar submit --time 2h --array 0-9 sweep.sh --verbose\n"
               "  busbar job logs $(busbar submit job.yaml) --follow\n"},
};

const char *cli_help(const char *verb)
{
    for (size_t i = 0; i < sizeof helps / sizeof helps[0]; i++) {
        if (strcmp(helps[i].verb, verb) == 0)
            return helps[i].text;
    }
    return "";
}
