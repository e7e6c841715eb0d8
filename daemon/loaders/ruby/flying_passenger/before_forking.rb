# frozen_string_literal: true

require_relative 'databases'

module FlyingPassenger
  # What a preloader does once, between loading the app and its first fork: what all processes are to share is put in
  # order, and what none may share is let go.
  module BeforeForking
    # Sources of threads that a forked process does not need: ActiveRecord starts its own again with the next
    # connection, and concurrent-ruby's only cleans up. Every Rails app has them.
    NOT_MISSED = %r{/active_record/connection_adapters/|/concurrent/atomic/ruby_thread_local_var\.rb:}

    module_function

    def run
      Databases.before_forking
      warn_of_threads
      settle_memory
    end

    # What is garbage now would be collected, and so written to, by each process. Ruby 3.3 knows more to do; earlier
    # ones could compact too, which libraries in C do not all survive.
    def settle_memory
      Process.respond_to?(:warmup) ? Process.warmup : GC.start
    end

    def warn_of_threads
      others = (Thread.list - [Thread.current]).reject { |thread| thread.inspect.match?(NOT_MISSED) }
      return if others.empty?

      warn("#{others.size} threads were started while the app was loaded (#{others.map { |t| name(t) }.join(', ')}); " \
           'they do not run in the processes forked from it. Start them in ' \
           'PhusionPassenger.on_event(:starting_worker_process), or set passenger_spawn_method direct.')
    end

    def name(thread)
      thread.name || thread.inspect[/(?<= )\S+:\d+/] || 'unnamed'
    end
  end
end
