# What every target of ours is compiled with. Boost enters as SYSTEM, and all BOOST_ASIO_* settings
# stand here once, since they must be the same everywhere.
add_library(berth_options INTERFACE)
target_compile_options(berth_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough -Werror)
target_compile_definitions(berth_options INTERFACE
  BOOST_ASIO_NO_DEPRECATED BOOST_ASIO_DISABLE_BOOST_ARRAY _GLIBCXX_ASSERTIONS)
target_include_directories(berth_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(berth_options INTERFACE Boost::headers Threads::Threads)
target_link_options(berth_options INTERFACE -Wl,--as-needed)

# berth_module(NAME base DEPS model plan LIBRARIES fmt::fmt)
# One folder is one library `berth_<name>`; its *_test.cpp become the test program `<name>_test`.
# DEPS are other folders: the linker and tools/check_includes.py know the directions.
function(berth_module)
  cmake_parse_arguments(M "" "NAME" "DEPS;LIBRARIES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  set(deps "")
  foreach(dep IN LISTS M_DEPS)
    list(APPEND deps berth_${dep})
  endforeach()
  if(sources)
    add_library(berth_${M_NAME} STATIC ${sources})
    target_link_libraries(berth_${M_NAME} PUBLIC berth_options ${deps} ${M_LIBRARIES})
  else()
    add_library(berth_${M_NAME} INTERFACE)
    target_link_libraries(berth_${M_NAME} INTERFACE berth_options ${deps} ${M_LIBRARIES})
  endif()
  if(tests)
    add_executable(${M_NAME}_test ${tests})
    target_link_libraries(${M_NAME}_test PRIVATE berth_${M_NAME} GTest::gtest_main rapidcheck rapidcheck_gtest)
    gtest_discover_tests(${M_NAME}_test DISCOVERY_MODE PRE_TEST TEST_PREFIX ${M_NAME}: PROPERTIES TIMEOUT 120)
  endif()
endfunction()
