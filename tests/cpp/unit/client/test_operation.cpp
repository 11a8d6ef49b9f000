#include "client/operation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <random>
#include <vector>

namespace simdrive::client {
namespace {

std::vector<std::unique_ptr<Operation>> make_operations(std::size_t n) {
  std::vector<std::unique_ptr<Operation>> out;
  for (std::size_t i = 0; i < n; ++i) {
    out.push_back(std::make_unique<Operation>());
    out.back()->prepare(rpc::Method::len, Reply::number, 0);
  }
  return out;
}

std::size_t below(std::minstd_rand& random, std::size_t n) { return random() % n; }

TEST(DeadlinesTest, TheEarliestIsAlwaysInFront) {
  constexpr std::size_t kOperations = 200;
  const auto all = make_operations(kOperations);
  std::minstd_rand random(1);
  Deadlines heap;
  std::vector<Operation*> in;
  std::vector<Operation*> out;
  for (const auto& op : all) out.push_back(op.get());
  for (int step = 0; step < 50'000; ++step) {
    // Grows and shrinks in turn; few different deadlines, so that many are equal.
    const bool add = in.empty() || (!out.empty() && below(random, 10) < (step / 2000 % 2 ? 3U : 7U));
    auto& from = add ? out : in;
    auto& to = add ? in : out;
    const std::size_t i = below(random, from.size());
    Operation* op = from[i];
    if (add) {
      op->call->deadline = net::TimePoint(std::chrono::milliseconds(below(random, 50)));
      heap.add(*op);
    } else {
      // As often the one in front as any.
      if (below(random, 2) == 0) op = &heap.earliest();
      heap.remove(*op);
    }
    from.erase(std::find(from.begin(), from.end(), op));
    to.push_back(op);
    ASSERT_EQ(heap.empty(), in.empty());
    if (in.empty()) continue;
    const auto first = std::min_element(in.begin(), in.end(), [](const Operation* a, const Operation* b) {
      return a->call->deadline < b->call->deadline;
    });
    ASSERT_EQ(heap.earliest().call->deadline, (*first)->call->deadline);
  }
}

TEST(OperationListTest, KeepsOrderLikeADeque) {
  const auto all = make_operations(60);
  std::minstd_rand random(2);
  OperationList list;
  std::deque<Operation*> model;
  std::vector<Operation*> out;
  for (const auto& op : all) out.push_back(op.get());
  const auto check = [&] {
    ASSERT_EQ(list.empty(), model.empty());
    ASSERT_EQ(list.front(), model.empty() ? nullptr : model.front());
    Operation* prev = nullptr;
    const Operation* at = list.front();
    for (Operation* op : model) {
      ASSERT_EQ(at, op);
      ASSERT_EQ(at->prev, prev);
      prev = op;
      at = at->next;
    }
    ASSERT_EQ(at, nullptr);
  };
  for (int step = 0; step < 20'000; ++step) {
    const std::size_t what = below(random, 4);
    if (what < 2 && !out.empty()) {
      Operation* op = out.back();
      out.pop_back();
      if (what == 0) {
        list.push_back(*op);
        model.push_back(op);
      } else {
        list.push_front(*op);
        model.push_front(op);
      }
    } else if (what == 2) {
      Operation* op = list.pop_front();
      ASSERT_EQ(op, model.empty() ? nullptr : model.front());
      if (!op) continue;
      model.pop_front();
      out.push_back(op);
    } else if (!model.empty()) {
      const std::size_t i = below(random, model.size());
      Operation* op = model[i];
      list.remove(*op);
      model.erase(model.begin() + static_cast<std::ptrdiff_t>(i));
      out.push_back(op);
    }
    ASSERT_NO_FATAL_FAILURE(check()) << step;
  }
}

}  // namespace
}  // namespace simdrive::client
