#pragma once
// The steps of the agents' states that a simulation of some hundred seeds must have seen: a chaos that never leads to one of them tests too little.
// "-" is: there is no record. Rarer steps are reported, not demanded.

#include <array>

namespace eve::sim {

struct Transition {
    const char* machine;
    const char* from;
    const char* to;
};
inline constexpr auto transitions = std::to_array<Transition>({
    {"domainmgr domain", "-", "INSTALLED"},
    {"domainmgr domain", "BOOTING", "RUNNING"},
    {"domainmgr domain", "BROKEN", "BOOTING"},
    {"domainmgr domain", "HALTED", "-"},
    {"domainmgr domain", "HALTED", "BOOTING"},
    {"domainmgr domain", "HALTING", "HALTED"},
    {"domainmgr domain", "INSTALLED", "BOOTING"},
    {"domainmgr domain", "INSTALLED", "RUNNING"},
    {"domainmgr domain", "RUNNING", "BROKEN"},
    {"domainmgr domain", "RUNNING", "HALTED"},
    {"domainmgr domain", "RUNNING", "HALTING"},
    {"volumemgr content tree", "-", "DOWNLOADING"},
    {"volumemgr content tree", "DOWNLOADING", "LOADING"},
    {"volumemgr content tree", "LOADING", "LOADED"},
    {"volumemgr content tree", "LOADING", "VERIFIED"},
    {"volumemgr content tree", "VERIFIED", "LOADING"},
    {"volumemgr volume", "-", "DOWNLOADING"},
    {"volumemgr volume", "-", "LOADED"},
    {"volumemgr volume", "CREATED_VOLUME", "-"},
    {"volumemgr volume", "CREATING_VOLUME", "CREATED_VOLUME"},
    {"volumemgr volume", "DOWNLOADING", "-"},
    {"volumemgr volume", "DOWNLOADING", "LOADING"},
    {"volumemgr volume", "LOADED", "CREATING_VOLUME"},
    {"volumemgr volume", "LOADING", "LOADED"},
    {"volumemgr volume", "LOADING", "VERIFIED"},
    {"volumemgr volume", "VERIFIED", "LOADING"},
    {"zedmanager app", "-", "INITIAL"},
    {"zedmanager app", "AWAITNETWORKINSTANCE", "INSTALLED"},
    {"zedmanager app", "BOOTING", "RUNNING"},
    {"zedmanager app", "BROKEN", "BOOTING"},
    {"zedmanager app", "CREATING_VOLUME", "HALTED"},
    {"zedmanager app", "CREATING_VOLUME", "INSTALLED"},
    {"zedmanager app", "DOWNLOADING", "INITIAL"},
    {"zedmanager app", "DOWNLOADING", "LOADING"},
    {"zedmanager app", "HALTED", "-"},
    {"zedmanager app", "HALTED", "BOOTING"},
    {"zedmanager app", "HALTED", "INSTALLED"},
    {"zedmanager app", "HALTING", "-"},
    {"zedmanager app", "HALTING", "HALTED"},
    {"zedmanager app", "INITIAL", "DOWNLOADING"},
    {"zedmanager app", "INITIAL", "LOADED"},
    {"zedmanager app", "INSTALLED", "AWAITNETWORKINSTANCE"},
    {"zedmanager app", "INSTALLED", "BOOTING"},
    {"zedmanager app", "INSTALLED", "RUNNING"},
    {"zedmanager app", "INSTALLED", "START_DELAYED"},
    {"zedmanager app", "LOADED", "CREATING_VOLUME"},
    {"zedmanager app", "LOADING", "LOADED"},
    {"zedmanager app", "LOADING", "VERIFIED"},
    {"zedmanager app", "RUNNING", "BROKEN"},
    {"zedmanager app", "RUNNING", "HALTED"},
    {"zedmanager app", "RUNNING", "HALTING"},
    {"zedmanager app", "START_DELAYED", "INSTALLED"},
    {"zedmanager app", "VERIFIED", "LOADING"},
    {"zedrouter app", "-", "ADDING"},
    {"zedrouter app", "-", "DOWN"},
    {"zedrouter app", "ADDING", "UP"},
    {"zedrouter app", "CHANGING", "DOWN"},
    {"zedrouter app", "CHANGING", "UP"},
    {"zedrouter app", "DELETING", "-"},
    {"zedrouter app", "DOWN", "ADDING"},
    {"zedrouter app", "UP", "CHANGING"},
    {"zedrouter app", "UP", "DELETING"},
    {"zedrouter network instance", "-", "DOWN"},
    {"zedrouter network instance", "DOWN", "UP"},
});

}  // namespace eve::sim
