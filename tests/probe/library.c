/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for a maker's library of the NVML family: its documented functions, with PREFIX before their names. Two chips; how it
 * behaves is in BUSBAR_TEST_LIBRARY: "hang", "crash", "refuse", "lost" (the second), "noise" (it prints), or well.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOIN(a, b) a##b
#define NAME(a, b) JOIN(a, b)
#define FN(name) NAME(PREFIX, name)

struct pci {
    char legacy[16];
    unsigned domain, bus, device, ids, subsystem;
    char bus_id[32];
};

struct memory {
    unsigned long long total, free, used;
};

struct use {
    unsigned chip, memory;
};

int FN(Init_v2)(void);
int FN(Shutdown)(void);
const char *FN(ErrorString)(int rc);
int FN(SystemGetDriverVersion)(char *text, unsigned cap);
int FN(DeviceGetCount_v2)(unsigned *n);
int FN(DeviceGetHandleByIndex_v2)(unsigned index, void **device);
int FN(DeviceGetName)(void *device, char *text, unsigned cap);
int FN(DeviceGetUUID)(void *device, char *text, unsigned cap);
int FN(DeviceGetSerial)(void *device, char *text, unsigned cap);
int FN(DeviceGetPciInfo_v3)(void *device, struct pci *pci);
int FN(DeviceGetMemoryInfo)(void *device, struct memory *memory);
int FN(DeviceGetUtilizationRates)(void *device, struct use *use);
int FN(DeviceGetTemperature)(void *device, int sensor, unsigned *t);
int FN(DeviceGetPowerUsage)(void *device, unsigned *mw);
int FN(DeviceGetEnforcedPowerLimit)(void *device, unsigned *mw);
int FN(DeviceGetNvLinkState)(void *device, unsigned link, int *up);
int FN(DeviceGetNvLinkRemotePciInfo_v2)(void *device, unsigned link, struct pci *pci);

static char chips[2];

static int is(const char *mode)
{
    const char *given = getenv("BUSBAR_TEST_LIBRARY");
    return given && strcmp(given, mode) == 0;
}

static int which(const void *device)
{
    return (int)((const char *)device - chips);
}

static int say(char *dst, unsigned cap, const char *what, int i)
{
    (void)snprintf(dst, cap, "%s%d", what, i);
    return 0;
}

int FN(Init_v2)(void)
{
    if (is("hang"))
        (void)pause();
    if (is("crash"))
        (void)raise(SIGSEGV);
    if (is("noise"))
        puts("this library talks");
    return is("refuse") ? 9 : 0;
}

int FN(Shutdown)(void)
{
    return 0;
}

const char *FN(ErrorString)(int rc)
{
    return rc == 9 ? "Driver Not Loaded" : "Unknown Error";
}

int FN(SystemGetDriverVersion)(char *text, unsigned cap)
{
    return say(text, cap, "550.", 7);
}

int FN(DeviceGetCount_v2)(unsigned *n)
{
    *n = 2;
    return 0;
}

int FN(DeviceGetHandleByIndex_v2)(unsigned index, void **device)
{
    *device = &chips[index & 1];
    return 0;
}

int FN(DeviceGetName)(void *device, char *text, unsigned cap)
{
    (void)device;
    return say(text, cap, "NVIDIA H10", 0);
}

int FN(DeviceGetUUID)(void *device, char *text, unsigned cap)
{
    return say(text, cap, "GPU-0000-", which(device));
}

int FN(DeviceGetSerial)(void *device, char *text, unsigned cap)
{
    (void)device;
    (void)text;
    (void)cap;
    return 3; /* not supported */
}

int FN(DeviceGetPciInfo_v3)(void *device, struct pci *pci)
{
    memset(pci, 0, sizeof *pci);
    pci->bus = which(device) ? 0x3b : 0x19;
    return 0;
}

int FN(DeviceGetMemoryInfo)(void *device, struct memory *memory)
{
    if (is("lost") && which(device) == 1)
        return 15;
    *memory = (struct memory){81559ULL << 20, 81000ULL << 20, 559ULL << 20};
    return 0;
}

int FN(DeviceGetUtilizationRates)(void *device, struct use *use)
{
    (void)device;
    *use = (struct use){42, 7};
    return 0;
}

int FN(DeviceGetTemperature)(void *device, int sensor, unsigned *t)
{
    *t = 30 + (unsigned)which(device) + (unsigned)sensor;
    return 0;
}

int FN(DeviceGetPowerUsage)(void *device, unsigned *mw)
{
    *mw = 71230 + (unsigned)which(device);
    return 0;
}

int FN(DeviceGetEnforcedPowerLimit)(void *device, unsigned *mw)
{
    (void)device;
    *mw = 700000;
    return 0;
}

/* Four links to the other chip, two to a switch. */
int FN(DeviceGetNvLinkState)(void *device, unsigned link, int *up)
{
    (void)device;
    *up = link < 6;
    return link < 8 ? 0 : 2;
}

int FN(DeviceGetNvLinkRemotePciInfo_v2)(void *device, unsigned link, struct pci *pci)
{
    memset(pci, 0, sizeof *pci);
    pci->bus = link >= 4 ? 0x07 : which(device) ? 0x19 : 0x3b;
    return 0;
}
