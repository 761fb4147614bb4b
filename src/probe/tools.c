/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The makers' command lines: what is run, what it prints, which column is what. Written after the makers' manuals and what others
 * have published of the formats (docs/chips.md has the sources); where versions differ, both are here.
 *
 * Columns of JSON, pairs and box stand in order: a later one that has a value prevails.
 */
#include "probe/tools.h"

#define CSV " --format=csv,noheader,nounits"
#define END \
    { \
        NULL, FIELD_NONE, UNIT_NONE \
    }
#define PLAIN(key, field) \
    { \
        key, FIELD_##field, UNIT_NONE \
    }

/* ---- as nvidia-smi has it: five makers ---- */

#define QUERY_NAMES PLAIN("index", INDEX), PLAIN("name", MODEL), PLAIN("uuid", UUID)
#define QUERY_MEMORY PLAIN("memory.total", MEMORY), PLAIN("memory.used", MEMORY_USED)

static const struct tool_column nvidia_query[] = {QUERY_NAMES,
                                                  PLAIN("serial", SERIAL),
                                                  PLAIN("pci.bus_id", PCI),
                                                  QUERY_MEMORY,
                                                  PLAIN("power.draw", POWER),
                                                  PLAIN("power.limit", LIMIT),
                                                  PLAIN("temperature.gpu", TEMPERATURE),
                                                  PLAIN("utilization.gpu", USE),
                                                  PLAIN("driver_version", DRIVER),
                                                  PLAIN("ecc.errors.uncorrected.volatile.total", ERRORS),
                                                  END};
static const struct tool_column nvidia_links[] = {PLAIN("NV nvlink", ANY), END};

const struct tool_step nvidia_steps[] = {{.program = "nvidia-smi",
                                          .args = "--query-gpu={keys}" CSV,
                                          .capture = "nvidia-smi-query",
                                          .columns = nvidia_query,
                                          .format = TOOL_CSV},
                                         {.program = "nvidia-smi",
                                          .args = "topo -m",
                                          .capture = "nvidia-smi-topo",
                                          .columns = nvidia_links,
                                          .format = TOOL_MATRIX,
                                          .list = "GPU",
                                          .role = STEP_ALSO},
                                         {0}};

/* Its power keys were called gpu.power.* before version 2. */
static const struct tool_column iluvatar_query_2[] = {QUERY_NAMES,
                                                      PLAIN("gpu_serial", SERIAL),
                                                      PLAIN("gpu_bus_id", PCI),
                                                      QUERY_MEMORY,
                                                      PLAIN("power.draw", POWER),
                                                      PLAIN("power.limit", LIMIT),
                                                      PLAIN("temperature.gpu", TEMPERATURE),
                                                      PLAIN("utilization.gpu", USE),
                                                      PLAIN("driver_version", DRIVER),
                                                      END};
static const struct tool_column iluvatar_query_1[] = {QUERY_NAMES,
                                                      PLAIN("gpu_serial", SERIAL),
                                                      PLAIN("gpu_bus_id", PCI),
                                                      QUERY_MEMORY,
                                                      PLAIN("gpu.power.draw", POWER),
                                                      PLAIN("gpu.power.limit", LIMIT),
                                                      PLAIN("temperature.gpu", TEMPERATURE),
                                                      PLAIN("utilization.gpu", USE),
                                                      PLAIN("driver_version", DRIVER),
                                                      END};

const struct tool_step iluvatar_steps[] = {{.program = "ixsmi",
                                            .args = "--query-gpu={keys}" CSV,
                                            .capture = "ixsmi-query",
                                            .columns = iluvatar_query_2,
                                            .format = TOOL_CSV},
                                           {.program = "ixsmi",
                                            .args = "--query-gpu={keys}" CSV,
                                            .capture = "ixsmi-query-1",
                                            .columns = iluvatar_query_1,
                                            .format = TOOL_CSV},
                                           {0}};

static const struct tool_column biren_query[] = {QUERY_NAMES,
                                                 PLAIN("serial", SERIAL),
                                                 PLAIN("pci.bus_id", PCI),
                                                 QUERY_MEMORY,
                                                 PLAIN("power.draw", POWER),
                                                 PLAIN("power.limit", LIMIT),
                                                 PLAIN("temperature.gpu", TEMPERATURE),
                                                 PLAIN("utilization.gpu", USE),
                                                 PLAIN("driver_version", DRIVER),
                                                 END};
static const struct tool_column biren_query_short[] = {QUERY_NAMES,
                                                       PLAIN("serial", SERIAL),
                                                       PLAIN("pci.bus_id", PCI),
                                                       QUERY_MEMORY,
                                                       PLAIN("temperature.gpu", TEMPERATURE),
                                                       END};

const struct tool_step biren_steps[] = {{.program = "brsmi",
                                         .args = "gpu --query-gpu={keys}" CSV,
                                         .capture = "brsmi-query",
                                         .columns = biren_query,
                                         .format = TOOL_CSV},
                                        {.program = "brsmi",
                                         .args = "gpu --query-gpu={keys}" CSV,
                                         .capture = "brsmi-query-short",
                                         .columns = biren_query_short,
                                         .format = TOOL_CSV},
                                        {0}};

/* Address and serial have had other names; on a card with several chips they all have the card's serial. */
static const struct tool_column thead_query[] = {QUERY_NAMES,
                                                 PLAIN("serial", SERIAL),
                                                 PLAIN("pci.bus_id", PCI),
                                                 QUERY_MEMORY,
                                                 PLAIN("power.draw", POWER),
                                                 PLAIN("power.limit", LIMIT),
                                                 PLAIN("temperature.ppu", TEMPERATURE),
                                                 PLAIN("utilization.ppu", USE),
                                                 PLAIN("driver_version", DRIVER),
                                                 END};
static const struct tool_column thead_query_gpu[] = {QUERY_NAMES,
                                                     PLAIN("gpu_serial", SERIAL),
                                                     PLAIN("gpu_bus_id", PCI),
                                                     QUERY_MEMORY,
                                                     PLAIN("power.draw", POWER),
                                                     PLAIN("power.limit", LIMIT),
                                                     PLAIN("temperature.ppu", TEMPERATURE),
                                                     PLAIN("utilization.ppu", USE),
                                                     PLAIN("driver_version", DRIVER),
                                                     END};

const struct tool_step thead_steps[] = {{.program = "ppu-smi",
                                         .args = "--query-ppu={keys}" CSV,
                                         .capture = "ppu-smi-query",
                                         .columns = thead_query,
                                         .format = TOOL_CSV},
                                        {.program = "ppu-smi",
                                         .args = "--query-ppu={keys}" CSV,
                                         .capture = "ppu-smi-query-gpu",
                                         .columns = thead_query_gpu,
                                         .format = TOOL_CSV},
                                        {0}};

static const struct tool_column habana_query[] = {QUERY_NAMES,
                                                  PLAIN("serial", SERIAL),
                                                  PLAIN("bus_id", PCI),
                                                  QUERY_MEMORY,
                                                  PLAIN("power.draw", POWER),
                                                  PLAIN("temperature.aip", TEMPERATURE),
                                                  PLAIN("utilization.aip", USE),
                                                  PLAIN("driver_version", DRIVER),
                                                  END};

const struct tool_step habana_steps[] = {{.program = "hl-smi",
                                          .args = "-Q {keys} -f csv,noheader",
                                          .capture = "hl-smi-query",
                                          .columns = habana_query,
                                          .format = TOOL_CSV},
                                         {0}};

/* ---- AMD, and Hygon, whose tool is made after AMD's older one ---- */

static const struct tool_column amd_static[] = {PLAIN("gpu", INDEX),
                                                PLAIN("asic/market_name", MODEL),
                                                PLAIN("asic/device_id", ID),
                                                PLAIN("asic/asic_serial", UUID),
                                                PLAIN("bus/bdf", PCI),
                                                PLAIN("board/product_serial", SERIAL),
                                                PLAIN("driver/version", DRIVER),
                                                PLAIN("driver/driver_version", DRIVER),
                                                PLAIN("vram/vram_size_mb", MEMORY),
                                                PLAIN("vram/size", MEMORY),
                                                PLAIN("limit/max_power", LIMIT),
                                                PLAIN("numa/node", NUMA),
                                                END};
static const struct tool_column amd_metric[] = {PLAIN("gpu", INDEX),
                                                PLAIN("usage/gfx_activity", USE),
                                                PLAIN("power/socket_power", POWER),
                                                PLAIN("temperature/edge", TEMPERATURE),
                                                PLAIN("temperature/hotspot", TEMPERATURE),
                                                PLAIN("mem_usage/total_vram", MEMORY),
                                                PLAIN("mem_usage/used_vram", MEMORY_USED),
                                                PLAIN("ecc/total_uncorrectable_count", ERRORS),
                                                END};
static const struct tool_column rocm_json[] = {PLAIN("Card Series", MODEL),
                                               PLAIN("Card series", MODEL),
                                               PLAIN("Device ID", ID),
                                               PLAIN("PCI Bus", PCI),
                                               PLAIN("Serial Number", SERIAL),
                                               PLAIN("Unique ID", UUID),
                                               {"VRAM Total Memory (B)", FIELD_MEMORY, UNIT_B},
                                               {"VRAM Total Used Memory (B)", FIELD_MEMORY_USED, UNIT_B},
                                               PLAIN("GPU use (%)", USE),
                                               PLAIN("Average Graphics Package Power (W)", POWER),
                                               PLAIN("Current Socket Graphics Package Power (W)", POWER),
                                               PLAIN("Max Graphics Package Power (W)", LIMIT),
                                               PLAIN("Temperature (Sensor edge) (C)", TEMPERATURE),
                                               PLAIN("Temperature (Sensor junction) (C)", TEMPERATURE),
                                               PLAIN("^system/Driver version", DRIVER),
                                               END};

#define ROCM_ARGS \
    "--showproductname --showid --showbus --showserial --showuniqueid --showmeminfo vram --showuse " \
    "--showpower " \
    "--showmaxpower --showtemp --showdriverversion --json"

const struct tool_step amd_steps[] = {{.program = "amd-smi",
                                       .args = "static --json",
                                       .capture = "amd-smi-static",
                                       .columns = amd_static,
                                       .format = TOOL_JSON,
                                       .list = "gpu_data|."},
                                      {.program = "rocm-smi",
                                       .args = ROCM_ARGS,
                                       .capture = "rocm-smi",
                                       .columns = rocm_json,
                                       .format = TOOL_JSON,
                                       .list = "card*"},
                                      {.program = "amd-smi",
                                       .args = "metric --json",
                                       .capture = "amd-smi-metric",
                                       .columns = amd_metric,
                                       .format = TOOL_JSON,
                                       .list = "gpu_data|.",
                                       .role = STEP_ALSO},
                                      {0}};

/* DCU or HCU, B or MiB, by version. "PCI Bus" may have the serial after the address. */
static const struct tool_column hygon_json[] = {PLAIN("Card Series", MODEL),
                                                PLAIN("Card series", MODEL),
                                                PLAIN("Device ID", ID),
                                                PLAIN("PCI Bus", PCI),
                                                PLAIN("Serial Number", SERIAL),
                                                PLAIN("Unique ID", UUID),
                                                {"vram Total Memory (B)", FIELD_MEMORY, UNIT_B},
                                                {"vram Total Used Memory (B)", FIELD_MEMORY_USED, UNIT_B},
                                                PLAIN("Available memory size (MiB)", NONE),
                                                PLAIN("vram Total Memory (MiB)", MEMORY),
                                                PLAIN("vram Total Used Memory (MiB)", MEMORY_USED),
                                                PLAIN("DCU use (%)", USE),
                                                PLAIN("HCU use (%)", USE),
                                                PLAIN("Average Graphics Package Power (W)", POWER),
                                                PLAIN("Max Graphics Package Power (W)", LIMIT),
                                                PLAIN("Temperature (Sensor edge) (C)", TEMPERATURE),
                                                PLAIN("Temperature (Sensor core) (C)", TEMPERATURE),
                                                PLAIN("Temperature (Sensor junction) (C)", TEMPERATURE),
                                                PLAIN("^system/Driver version", DRIVER),
                                                END};

const struct tool_step hygon_steps[] = {{.program = "hy-smi rocm-smi",
                                         .args = ROCM_ARGS,
                                         .capture = "hy-smi",
                                         .columns = hygon_json,
                                         .format = TOOL_JSON,
                                         .list = "card*"},
                                        {0}};

/* ---- Intel ---- */

static const struct tool_column intel_discovery[] = {PLAIN("device_id", INDEX),
                                                     PLAIN("device_name", MODEL),
                                                     PLAIN("uuid", UUID),
                                                     PLAIN("pci_bdf_address", PCI),
                                                     PLAIN("drm_device", NONE),
                                                     PLAIN("device_function_type", FUNCTION_TYPE),
                                                     PLAIN("driver_version", DRIVER),
                                                     {"memory_physical_size_byte", FIELD_MEMORY, UNIT_B},
                                                     PLAIN("serial_number", SERIAL),
                                                     END};
#define STAT(name) "device_level[metrics_type=XPUM_STATS_" name "]/value"
static const struct tool_column intel_stats[] = {PLAIN("device_id", INDEX),
                                                 PLAIN(STAT("POWER"), POWER),
                                                 PLAIN(STAT("GPU_CORE_TEMPERATURE"), TEMPERATURE),
                                                 PLAIN(STAT("GPU_UTILIZATION"), USE),
                                                 PLAIN(STAT("MEMORY_USED"), MEMORY_USED),
                                                 END};

const struct tool_step intel_steps[] = {{.program = "xpu-smi",
                                         .args = "discovery -j",
                                         .capture = "xpu-smi-discovery",
                                         .columns = intel_discovery,
                                         .format = TOOL_JSON,
                                         .list = "device_list"},
                                        {.program = "xpu-smi",
                                         .args = "discovery -d {} -j",
                                         .capture = "xpu-smi-discovery-{}",
                                         .columns = intel_discovery,
                                         .format = TOOL_JSON,
                                         .list = ".",
                                         .role = STEP_ALSO,
                                         .each = EACH_INDEX},
                                        {.program = "xpu-smi",
                                         .args = "stats -d {} -j",
                                         .capture = "xpu-smi-stats-{}",
                                         .columns = intel_stats,
                                         .format = TOOL_JSON,
                                         .list = ".",
                                         .role = STEP_ALSO,
                                         .each = EACH_INDEX},
                                        {0}};

/* ---- Huawei: the number of an NPU is neither that of its device node nor the one that programs use ---- */

static const struct tool_column huawei_box[] = {
    PLAIN("{die} | {pci} | {use} {ddr-used} / {ddr} {memory-used} / {memory}", MORE),
    PLAIN("{die} {physical} | {pci} | {use} {ddr-used} / {ddr} {memory-used} / {memory}", MORE),
    PLAIN("{die} {physical} | {pci} | {use} {ddr-used} / {ddr}", MORE),
    PLAIN("{die} | {pci} | {use} {ddr-used} / {ddr}", MORE),
    PLAIN("{card} {model} | {health} | {power} {temperature} ...", BEGINS),
    PLAIN(" Version:", DRIVER),
    END};
static const struct tool_column huawei_map[] = {PLAIN("NPU ID", CARD),
                                                PLAIN("Chip ID", DIE),
                                                PLAIN("Chip Logic ID", INDEX),
                                                PLAIN("Chip Phy-ID", PHYSICAL),
                                                PLAIN("Chip Name", FUNCTION_TYPE),
                                                END};
static const struct tool_column huawei_board[] = {PLAIN("NPU ID", CARD), PLAIN("Serial Number", SERIAL),
                                                  PLAIN("Software Version", DRIVER), END};
static const struct tool_column huawei_links[] = {PLAIN("HCCS hccs", ANY), END};

const struct tool_step huawei_steps[] = {{.program = "npu-smi",
                                          .args = "info",
                                          .capture = "npu-smi-info",
                                          .columns = huawei_box,
                                          .format = TOOL_BOX},
                                         {.program = "npu-smi",
                                          .args = "info -m",
                                          .capture = "npu-smi-map",
                                          .columns = huawei_map,
                                          .format = TOOL_COLUMNS,
                                          .role = STEP_ALSO},
                                         {.program = "npu-smi",
                                          .args = "info -t board -i {}",
                                          .capture = "npu-smi-board-{}",
                                          .columns = huawei_board,
                                          .format = TOOL_PAIRS,
                                          .list = "NPU ID:",
                                          .role = STEP_ALSO,
                                          .each = EACH_CARD},
                                         {.program = "npu-smi",
                                          .args = "info -t topo",
                                          .capture = "npu-smi-topo",
                                          .columns = huawei_links,
                                          .format = TOOL_MATRIX,
                                          .list = "NPU",
                                          .role = STEP_ALSO},
                                         {0}};

/* ---- the others ---- */

/* Its JSON is a file in the folder where it runs. */
static const struct tool_column cambricon_json[] = {PLAIN("CardNum", INDEX),
                                                    PLAIN("ProductName", MODEL),
                                                    PLAIN("UUID", UUID),
                                                    PLAIN("SN", SERIAL),
                                                    PLAIN("Driver", DRIVER),
                                                    PLAIN("PCI/DomainID", PCI_DOMAIN),
                                                    PLAIN("PCI/Bus", PCI_BUS),
                                                    PLAIN("PCI/Device", PCI_DEVICE),
                                                    PLAIN("PCI/Function", PCI_FUNCTION),
                                                    PLAIN("PhysicalMemUsage/Total", MEMORY),
                                                    PLAIN("PhysicalMemUsage/Used", MEMORY_USED),
                                                    PLAIN("Utilization/MLUAverage", USE),
                                                    PLAIN("Temperature/Chip", TEMPERATURE),
                                                    PLAIN("Power/Usage", POWER),
                                                    PLAIN("Power/Cap", LIMIT),
                                                    PLAIN("Health", HEALTH),
                                                    END};
static const struct tool_column cambricon_pairs[] = {PLAIN("Product Name", MODEL),
                                                     PLAIN("UUID", UUID),
                                                     PLAIN("SN", SERIAL),
                                                     PLAIN("Driver", DRIVER),
                                                     PLAIN("PCI/Domain ID", PCI_DOMAIN),
                                                     PLAIN("PCI/Bus num", PCI_BUS),
                                                     PLAIN("PCI/Device", PCI_DEVICE),
                                                     PLAIN("PCI/Function", PCI_FUNCTION),
                                                     PLAIN("Physical Memory Usage/Total", MEMORY),
                                                     PLAIN("Physical Memory Usage/Used", MEMORY_USED),
                                                     PLAIN("Utilization/MLU Average", USE),
                                                     PLAIN("Temperature/Chip", TEMPERATURE),
                                                     PLAIN("Power/Usage", POWER),
                                                     PLAIN("Power/Cap", LIMIT),
                                                     PLAIN("Health", HEALTH),
                                                     END};

const struct tool_step cambricon_steps[] = {{.program = "cnmon",
                                             .args = "info -j",
                                             .file = "cnmon_info.json",
                                             .capture = "cnmon_info.json",
                                             .columns = cambricon_json,
                                             .format = TOOL_JSON,
                                             .list = "CnmonInfo"},
                                            {.program = "cnmon",
                                             .args = "info",
                                             .capture = "cnmon-info",
                                             .columns = cambricon_pairs,
                                             .format = TOOL_PAIRS,
                                             .list = "Card"},
                                            {0}};

static const struct tool_column mthreads_json[] = {PLAIN("Index", INDEX),
                                                   PLAIN("Product Name", MODEL),
                                                   PLAIN("GPU UUID", UUID),
                                                   PLAIN("Serial Number", SERIAL),
                                                   PLAIN("PCI/Bus ID", PCI),
                                                   PLAIN("PCI/Device ID", ID),
                                                   PLAIN("FB Memory Usage/Total", MEMORY),
                                                   PLAIN("FB Memory Usage/Used", MEMORY_USED),
                                                   PLAIN("Utilization/Gpu", USE),
                                                   PLAIN("Temperature/GPU Current Temp", TEMPERATURE),
                                                   PLAIN("Power Readings/Power Draw", POWER),
                                                   PLAIN("Power Readings/Current Power Limit", LIMIT),
                                                   PLAIN("^Driver Version", DRIVER),
                                                   END};
/* Under "GPU 00000000:12:00.0" or "GPU0 00000000:12:00.0". */
static const struct tool_column mthreads_pairs[] = {PLAIN("Index", INDEX),
                                                    PLAIN("Product Name", MODEL),
                                                    PLAIN("GPU UUID", UUID),
                                                    PLAIN("Serial Number", SERIAL),
                                                    PLAIN("Bus ID", PCI),
                                                    PLAIN("Device ID", ID),
                                                    PLAIN("FB Memory Usage/Total", MEMORY),
                                                    PLAIN("FB Memory Usage/Used", MEMORY_USED),
                                                    PLAIN("Utilization/Gpu", USE),
                                                    PLAIN("GPU Current Temp", TEMPERATURE),
                                                    PLAIN("Power Draw", POWER),
                                                    PLAIN("Current Power Limit", LIMIT),
                                                    PLAIN("Driver Version", DRIVER),
                                                    END};
static const struct tool_column mthreads_box[] = {
    PLAIN("{index} {model...} | {pci} | {use} {memory-used} {memory}", BEGINS),
    PLAIN("Physical | ... | {temperature} ...", MORE), PLAIN("Driver Version:", DRIVER), END};

const struct tool_step mthreads_steps[] = {{.program = "mthreads-gmi",
                                            .args = "--query --json",
                                            .capture = "mthreads-gmi-json",
                                            .columns = mthreads_json,
                                            .format = TOOL_JSON,
                                            .list = "GPU"},
                                           {.program = "mthreads-gmi",
                                            .args = "-q",
                                            .capture = "mthreads-gmi-query",
                                            .columns = mthreads_pairs,
                                            .format = TOOL_PAIRS,
                                            .list = "GPU"},
                                           {.program = "mthreads-gmi",
                                            .args = "",
                                            .capture = "mthreads-gmi",
                                            .columns = mthreads_box,
                                            .format = TOOL_BOX},
                                           {0}};

/* 2.1 had neither limit nor state. */
static const struct tool_column metax_box[] = {
    PLAIN("{index} {model...} Off | {pci} | {use} ...", BEGINS),
    PLAIN("{index} {model...} On | {pci} | {use} ...", BEGINS),
    PLAIN("{index} {model...} | {pci} | {use} ...", BEGINS),
    PLAIN("{temperature} {power} / {limit} ... | {memory-used} / {memory} ... | {health...}", MORE),
    PLAIN("{temperature} {power} / {limit} ... | {memory-used} / {memory} ... | ...", MORE),
    PLAIN("{temperature} {power} | {memory-used} / {memory} ... | ...", MORE),
    PLAIN("Kernel Mode Driver Version:", DRIVER),
    END};
static const struct tool_column metax_list[] = {
    PLAIN("GPU#{index} {model} {pci} {health...} UUID: {uuid}", BEGINS),
    PLAIN("GPU#{index} {model} {pci} {health...}", BEGINS), END};
static const struct tool_column metax_links[] = {PLAIN("MX metaxlink", ANY), END};

const struct tool_step metax_steps[] = {
    {.program = "mx-smi", .args = "", .capture = "mx-smi", .columns = metax_box, .format = TOOL_BOX},
    {.program = "mx-smi",
     .args = "-L",
     .capture = "mx-smi-list",
     .columns = metax_list,
     .format = TOOL_BOX,
     .role = STEP_ALSO},
    {.program = "mx-smi",
     .args = "topo -m",
     .capture = "mx-smi-topo",
     .columns = metax_links,
     .format = TOOL_MATRIX,
     .list = "GPU",
     .role = STEP_ALSO},
    {0}};

/* Version 1.2 says Mem Size and Mem Usage, 1.4 Total Size and Used Size. */
static const struct tool_column enflame_pairs[] = {PLAIN("Dev Name", MODEL),
                                                   PLAIN("Dev UUID", UUID),
                                                   PLAIN("Dev SN", SERIAL),
                                                   PLAIN("Device Info/Health", HEALTH),
                                                   PLAIN("Driver Info/Ver", DRIVER),
                                                   PLAIN("PCIe Info/Device ID", ID),
                                                   PLAIN("PCIe Info/Domain", PCI_DOMAIN),
                                                   PLAIN("PCIe Info/Bus", PCI_BUS),
                                                   PLAIN("PCIe Info/Dev", PCI_DEVICE),
                                                   PLAIN("PCIe Info/Func", PCI_FUNCTION),
                                                   PLAIN("Power Capa", LIMIT),
                                                   PLAIN("Cur Power", POWER),
                                                   PLAIN("Device Mem Info/Mem Size", MEMORY),
                                                   PLAIN("Device Mem Info/Mem Usage", MEMORY_USED),
                                                   PLAIN("Device Mem Info/Total Size", MEMORY),
                                                   PLAIN("Device Mem Info/Used Size", MEMORY_USED),
                                                   PLAIN("GCU Temp", TEMPERATURE),
                                                   PLAIN("GCU Usage", USE),
                                                   END};

const struct tool_step enflame_steps[] = {{.program = "efsmi",
                                           .args = "-q",
                                           .capture = "efsmi-query",
                                           .columns = enflame_pairs,
                                           .format = TOOL_PAIRS,
                                           .list = "DEV ID"},
                                          {0}};

/* Intel's tool has the same name; whose chips are here decides what is asked, and neither reads the other's output. */
static const struct tool_column kunlun_pairs[] = {PLAIN("Product Name", MODEL),
                                                  PLAIN("Serial Number", SERIAL),
                                                  PLAIN("UUID", UUID),
                                                  PLAIN("XPU UUID", UUID),
                                                  PLAIN("Minor Number", INDEX),
                                                  PLAIN("Bus Id", PCI),
                                                  PLAIN("Memory Usage/Total", MEMORY),
                                                  PLAIN("Memory Usage/Used", MEMORY_USED),
                                                  PLAIN("Utilization/Xpu", USE),
                                                  PLAIN("XPU Current Temp", TEMPERATURE),
                                                  PLAIN("Power Draw", POWER),
                                                  PLAIN("Enforced Power Limit", LIMIT),
                                                  PLAIN("Driver Version", DRIVER),
                                                  END};

const struct tool_step kunlun_steps[] = {{.program = "xpu-smi xpu_smi",
                                          .args = "-q",
                                          .capture = "xpu-smi-query",
                                          .columns = kunlun_pairs,
                                          .format = TOOL_PAIRS,
                                          .list = "XPU"},
                                         {0}};

void tool_read(struct drafts *out, const struct tool_step *step, const char *text, size_t len)
{
    static tool_reader *const readers[] = {
        [TOOL_CSV] = read_csv, [TOOL_JSON] = read_json,       [TOOL_PAIRS] = read_pairs,
        [TOOL_BOX] = read_box, [TOOL_COLUMNS] = read_columns, [TOOL_MATRIX] = NULL};
    if (readers[step->format])
        readers[step->format](out, step, text, len);
    drafts_finish(out);
}
