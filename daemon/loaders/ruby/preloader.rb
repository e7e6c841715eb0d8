# frozen_string_literal: true

# Loads a Rack app once and forks the processes that serve it: descriptor 3 brings orders, descriptor 4 reports
# (docs/APP-PROTOCOL.md, "Preloaders").

require_relative 'flying_passenger/report'
require_relative 'flying_passenger/bundler_first'

module FlyingPassenger
  REPORT = Report.new(4)
  REPORT.loading
  REPORT.failures { BundlerFirst.set_up }
end

require_relative 'flying_passenger/events'
require_relative 'flying_passenger/application'
require_relative 'flying_passenger/server'
require_relative 'flying_passenger/reactor'
require_relative 'flying_passenger/fork_server'
require_relative 'flying_passenger/before_forking'
require_relative 'flying_passenger/databases'

module FlyingPassenger
  # The preloader's life, and then that of each process forked from it.
  module Preloader
    CONTROL_FD = 3

    module_function

    def main
      $stdout.sync = $stderr.sync = true
      forks = ForkServer.new(CONTROL_FD)
      startup_file = ENV.delete('FLYING_PASSENGER_STARTUP_FILE')
      group = ENV.delete('FLYING_PASSENGER_GROUP')
      threads = Integer(ENV.delete('FLYING_PASSENGER_THREADS') || 1)
      $PROGRAM_NAME = "Passenger AppPreloader: #{group}"
      app = REPORT.failures { prepare(startup_file) }
      REPORT.ready
      handed = forks.run
      serve(app, group, threads, handed) if handed
    end

    def prepare(startup_file)
      app = Application.load(startup_file)
      BeforeForking.run
      app
    end

    def serve(app, group, threads, handed)
      $PROGRAM_NAME = "Passenger RubyApp: #{group}"
      report = Report.new(handed.report)
      report.failures { start }
      Server.new(handed.listener, app, threads).run(report)
      PhusionPassenger.call_event(:stopping_worker_process)
      Reactor.stop
    end

    def start
      srand
      Databases.after_forking
      PhusionPassenger.call_event(:starting_worker_process, true)
    end
  end
end

FlyingPassenger::Preloader.main
