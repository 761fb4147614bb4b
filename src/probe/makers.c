/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The makers: ids of the PCI bus, which classes their chips have, device nodes, libraries.
 *
 * The ids are those of pci.ids and of the makers' own plug-ins; public scripts have wrong ones for six makers, which all are other
 * firms' (docs/chips.md). Where a maker has other devices on the bus as well (NVIDIA switches, Huawei network cards and management
 * controllers, Intel nearly everything) the classes are named that its chips have.
 */
#include <string.h>

#include "probe/tools.h"

static const uint16_t display[] = {0x0300, 0x0302, 0x0380, 0};
static const uint16_t nvidia_classes[] = {0x0300, 0x0302, 0};
static const uint16_t amd_classes[] = {0x0300, 0x0302, 0x0380, 0x1200, 0};
static const uint16_t intel_devices[] = {0x0bd5, 0x0bd6, 0x0bda, 0x56c0, 0xe211, 0xe212, 0xe223, 0};
static const uint16_t huawei_classes[] = {0x0302, 0x1200, 0};
static const uint16_t huawei_devices[] = {0xd100, 0xd500, 0xd801, 0xd802, 0xd803, 0};
static const uint16_t huawei_never[] = {0x1710, 0x1711, 0}; /* iBMC, a graphics card */
static const uint16_t hygon_classes[] = {0x0302, 0x0380, 0x0b40, 0x1200, 0};
static const uint16_t thead_classes[] = {0x0302, 0x0380, 0x0b40, 0x1200, 0};
static const uint16_t thead_devices[] = {0x6001, 0};
static const uint16_t kunlun_classes[] = {0x0302, 0x0780, 0x1200, 0};
static const uint16_t kunlun_devices[] = {0x3684, 0x3685, 0x3686, 0x3688, 0};

const struct maker makers[] = {
    {.name = "nvidia",
     .vendor_id = {0x10de},
     .classes = nvidia_classes,
     .node = NODE_MINOR,
     .node_pattern = "/dev/nvidia",
     .library = "libnvidia-ml.so.1",
     .prefix = "nvml",
     .steps = nvidia_steps},
    {.name = "amd",
     .vendor_id = {0x1002},
     .classes = amd_classes,
     .node = NODE_DRM,
     .folders = "/opt/rocm/bin",
     .steps = amd_steps},
    {.name = "intel",
     .vendor_id = {0x8086},
     .classes = display,
     .devices = intel_devices,
     .discrete = true,
     .node = NODE_DRM,
     .steps = intel_steps},
    {.name = "intel",
     .vendor_id = {0x1da3},
     .node = NODE_ACCEL,
     .folders = "/opt/habanalabs/bin",
     .steps = habana_steps},
    {.name = "huawei",
     .vendor_id = {0x19e5},
     .classes = huawei_classes,
     .devices = huawei_devices,
     .never = huawei_never,
     .node = NODE_PHYSICAL,
     .node_pattern = "/dev/davinci{}",
     .folders = "/usr/local/sbin:/usr/local/Ascend/driver/tools",
     .steps = huawei_steps},
    {.name = "cambricon",
     .vendor_id = {0xcabc},
     .node = NODE_INDEX,
     .node_pattern = "/dev/cambricon_dev{}",
     .folders = "/usr/local/neuware/bin",
     .steps = cambricon_steps},
    {.name = "moore-threads",
     .vendor_id = {0x1ed5},
     .node = NODE_INDEX,
     .node_pattern = "/dev/mtgpu.{}",
     .folders = "/usr/local/musa/bin",
     .steps = mthreads_steps},
    {.name = "hygon",
     .vendor_id = {0x1d94},
     .classes = hygon_classes,
     .node = NODE_DRM,
     .folders = "/opt/hyhal/bin:/usr/local/hyhal/bin:/opt/dtk/bin",
     .steps = hygon_steps},
    {.name = "iluvatar",
     .vendor_id = {0x1e3e},
     .node = NODE_INDEX,
     .node_pattern = "/dev/iluvatar{}",
     .library = "libixml.so",
     .prefix = "nvml",
     .folders = "/usr/local/corex/bin:/usr/local/corex/lib64:/usr/local/corex/lib",
     .steps = iluvatar_steps},
    {.name = "metax",
     .vendor_id = {0x9999},
     .node = NODE_DRM,
     .folders = "/opt/mxdriver/bin:/opt/maca/bin",
     .steps = metax_steps},
    {.name = "biren",
     .vendor_id = {0x1ee0},
     .node = NODE_CLASS,
     .node_pattern = "biren",
     .folders = "/usr/local/birensupa/driver/bin:/usr/local/birensupa/bin",
     .steps = biren_steps},
    {.name = "enflame",
     .vendor_id = {0x1e36},
     .node = NODE_INDEX,
     .node_pattern = "/dev/gcu{}",
     .library = "libefml.so.1 libefml.so",
     .prefix = "efml",
     .steps = enflame_steps},
    {.name = "kunlunxin",
     .vendor_id = {0x1d22, 0x2057},
     .classes = kunlun_classes,
     .devices = kunlun_devices,
     .node = NODE_INDEX,
     .node_pattern = "/dev/xpu{}",
     .folders = "/usr/local/xpu/bin",
     .steps = kunlun_steps},
    /* Its nodes are numbered by ordinals that minors on a captured machine are one apart from: they are never guessed. */
    {.name = "t-head",
     .vendor_id = {0x1ded},
     .classes = thead_classes,
     .devices = thead_devices,
     .node = NODE_NONE,
     .library = "libhgml.so",
     .prefix = "hgml",
     .folders = "/usr/local/PPU_SDK/bin:/usr/local/PPU_SDK/lib",
     .steps = thead_steps},
};

const uint32_t makers_n = sizeof makers / sizeof makers[0];

const struct maker *maker_named(const char *name)
{
    for (uint32_t i = 0; i < makers_n; i++) {
        if (strcmp(makers[i].name, name) == 0)
            return &makers[i];
    }
    return NULL;
}
